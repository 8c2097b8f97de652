package wire

import (
	"bytes"
	"strings"
	"testing"
)

func TestParseVia(t *testing.T) {
	tests := []struct {
		in                             string
		transport, host                string
		port                           uint16
		branch, received, maddr, rport string
		hasRPort, rfc3261              bool
	}{
		{in: "SIP/2.0/UDP h", transport: "UDP", host: "h"},
		{in: "SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bK1", transport: "UDP", host: "192.0.2.1", port: 5070, branch: "z9hG4bK1", rfc3261: true},
		{in: "SIP/2.0/UDP h;branch=z9hG4bK", transport: "UDP", host: "h", branch: "z9hG4bK"},
		{in: "SIP/2.0/UDP h;branch=Z9HG4BK1", transport: "UDP", host: "h", branch: "Z9HG4BK1"},
		{in: "SIP/2.0/UDP h;branch=390skdjuw", transport: "UDP", host: "h", branch: "390skdjuw"},
		{in: "sip / 2.0 /\tWSS\t[2001:db8::1] : 5070 ; Branch = z9hG4bK1 ;", transport: "WSS", host: "[2001:db8::1]", port: 5070,
			branch: "z9hG4bK1", rfc3261: true},
		{in: "SIP/2.0/TCP [::1]", transport: "TCP", host: "[::1]"},
		{in: "SIP/2.0/UDP h;rport", transport: "UDP", host: "h", hasRPort: true},
		{in: "SIP/2.0/UDP h;RPORT=", transport: "UDP", host: "h", hasRPort: true},
		{in: "SIP/2.0/UDP h;rport=4;received=192.0.2.1;maddr=x.y;ttl=1", transport: "UDP", host: "h", hasRPort: true, rport: "4",
			received: "192.0.2.1", maddr: "x.y"},
		{in: `SIP/2.0/UDP h;x="a;rport;\";b";branch=1`, transport: "UDP", host: "h", branch: "1"},
	}
	for _, test := range tests {
		v, err := ParseVia([]byte(test.in))
		if err != nil {
			t.Errorf("%s: %v", test.in, err)
			continue
		}
		if string(v.Transport) != test.transport || string(v.Host) != test.host || v.Port != test.port ||
			string(v.Branch) != test.branch || string(v.Received) != test.received || string(v.MAddr) != test.maddr ||
			string(v.RPort) != test.rport || v.HasRPort != test.hasRPort || v.HasMagicCookie() != test.rfc3261 {
			t.Errorf("%s: %q %q %d, branch %q received %q maddr %q rport %q", test.in, v.Transport, v.Host, v.Port, v.Branch, v.Received, v.MAddr, v.RPort)
		}
		if start, end := v.Span(); start != 0 || end != len(test.in) {
			t.Errorf("%s: span %d-%d", test.in, start, end)
		}
	}
	for _, in := range []string{
		"", "SIP", "SIP/2.0", "SIP/2.0/UDP", "SIP/2.0/UDP ", "SIP/2.0/ h", "SIP/2.0/UDP;branch=1", "SIP/3.0/UDP h", "HTTP/2.0/UDP h",
		"SIP/2.0/UDP h:", "SIP/2.0/UDP h:0", "SIP/2.0/UDP h:65536", "SIP/2.0/UDP h:x", "SIP/2.0/UDP [::1", "SIP/2.0/UDP [::1]x", "SIP/2.0/UDP []",
		"SIP/2.0/UDP [", "SIP/2.0/UDP [1.2.3.4]", "SIP/2.0/UDP [fe80::1%eth0]", "SIP/2.0/UDP a b", "SIP/2.0/UDP h;;branch=1", "SIP/2.0/UDP h;=1",
		"SIP/2.0/UDP h;branch=1;branch=2", "SIP/2.0/UDP h;rport;rport=1", "SIP/2.0/UDP h;received;received=192.0.2.1", "SIP/2.0/UDP h;maddr=a;MADDR=b",
		`SIP/2.0/UDP h;x="`, "SIP/2.0/U(DP h", "SIP/2.0/UDP h@x", "SIP/2.0/UDP " + strings.Repeat("h", MaxSize),
	} {
		if v, err := ParseVia([]byte(in)); err == nil {
			t.Errorf("%.80s: read as %+v", in, v)
		}
	}
}

func TestViaStamp(t *testing.T) {
	for in, want := range map[string]string{
		"SIP/2.0/UDP 198.51.100.7;branch=1":                           "SIP/2.0/UDP 198.51.100.7;branch=1",
		"SIP/2.0/UDP 198.51.100.7:9;branch=1":                         "SIP/2.0/UDP 198.51.100.7:9;branch=1",
		"SIP/2.0/UDP [::ffff:198.51.100.7];branch=1":                  "SIP/2.0/UDP [::ffff:198.51.100.7];branch=1",
		"SIP/2.0/UDP 198.51.100.8;branch=1":                           "SIP/2.0/UDP 198.51.100.8;branch=1;received=198.51.100.7",
		"SIP/2.0/UDP h":                                               "SIP/2.0/UDP h;received=198.51.100.7",
		"SIP/2.0/UDP h;rport;branch=1":                                "SIP/2.0/UDP h;branch=1;rport=1024;received=198.51.100.7",
		"SIP/2.0/UDP 198.51.100.7;rport":                              "SIP/2.0/UDP 198.51.100.7;rport=1024;received=198.51.100.7",
		"SIP/2.0/UDP h;rport=9;branch=1;received=192.0.2.9":           "SIP/2.0/UDP h;branch=1;rport=1024;received=198.51.100.7",
		"SIP/2.0/UDP 198.51.100.7;received=192.0.2.9;branch=1":        "SIP/2.0/UDP 198.51.100.7;branch=1",
		"SIP/2.0/UDP h ; received = \"x;y\" ; branch=1 ; rport = 1 ;": "SIP/2.0/UDP h ; branch=1;rport=1024;received=198.51.100.7",
		"SIP/2.0/UDP h;x=\";rport=2\";rport;y":                        "SIP/2.0/UDP h;x=\";rport=2\";y;rport=1024;received=198.51.100.7",
		"SIP/2.0/UDP h;":                                              "SIP/2.0/UDP h;received=198.51.100.7",
		"SIP/2.0/UDP h;maddr=192.0.2.9;branch=1":                      "SIP/2.0/UDP h;maddr=192.0.2.9;branch=1;received=198.51.100.7",
	} {
		m := mustParse(t, request("Via: "+in+" , SIP/2.0/UDP other;rport"))
		if got := string(m.appendTopVia([]byte("x"), anySource)); got != "x"+want {
			t.Errorf("%s:\n%s, want\n%s", in, got, want)
		}
		var e Edits
		e.StampVia(m, anySource)
		if got := e.Append(nil, m.Raw); !bytes.Contains(got, []byte("\r\nVia: "+want+" , SIP/2.0/UDP other;rport\r\n")) {
			t.Errorf("%s:\n%s", in, got)
		}
	}
}

// TestIsForwarded looks for a second Via on the first line and on others.
func TestIsForwarded(t *testing.T) {
	const via = "Via: SIP/2.0/UDP 192.0.2.20:5060;branch=z9hG4bK1"
	var m Message
	for _, test := range []struct {
		lines []string
		want  bool
	}{
		{[]string{via}, false},
		{[]string{via + `;x="a,b"`}, false},
		{[]string{via + " , "}, false},
		{[]string{via + ", SIP/2.0/UDP 192.0.2.21;branch=z9hG4bK2"}, true},
		{[]string{via, "+v: SIP/2.0/UDP 192.0.2.21;branch=z9hG4bK2"}, true},
		{[]string{via}, false}, // nothing is left of the one before
	} {
		if err := m.Parse(request(test.lines...)); err != nil {
			t.Fatal(test.lines, err)
		}
		if m.IsForwarded() != test.want {
			t.Errorf("%q: %v", test.lines, !test.want)
		}
	}
}
