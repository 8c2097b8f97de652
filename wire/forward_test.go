package wire

import (
	"strings"
	"testing"
)

// TestForward makes the edits of a proxy and then those it makes to the response.
func TestForward(t *testing.T) {
	m := mustParse(t, []byte(strings.Replace(string(invite), "\r\nFrom", "\r\nRecord-Route: <sip:192.0.2.9;lr>\r\nRoute: <sip:us;lr>, <sip:next;lr>\r\nFrom", 1)))
	got := edited(t, m, func(e *Edits) {
		e.SetRequestURI(m, []byte("sip:432@192.0.2.99:5060;line=\"x y\""))
		e.PushHeader(m, Via)
		e.Text = append(e.Text, "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKabc\r\n"...)
		e.StampVia(m, anySource)
		e.DecrementMaxForwards(m)
		e.PopValue(m, Route)
		e.PushHeader(m, RecordRoute)
		e.Text = append(e.Text, "Record-Route: <sip:192.0.2.1;lr>\r\n"...)
		e.EnsureContentLength(m)
	})
	want := strings.NewReplacer(
		"INVITE sip:432@example.com;user=phone SIP", "INVITE sip:432@192.0.2.99:5060;line=%22x%20y%22 SIP",
		"Via: SIP/2.0/UDP 192.0.2.20:5060;branch=z9hG4bK-cjlvpy3p2gz1;rport\r\n", "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKabc\r\n"+
			"Via: SIP/2.0/UDP 192.0.2.20:5060;branch=z9hG4bK-cjlvpy3p2gz1;rport=1024;received=198.51.100.7\r\n"+
			"Record-Route: <sip:192.0.2.1;lr>\r\nRecord-Route: <sip:192.0.2.9;lr>\r\nRoute: <sip:next;lr>\r\n",
		"Max-Forwards: 70", "Max-Forwards: 69",
	).Replace(string(invite))
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestPushHeader(t *testing.T) {
	m := mustParse(t, request("+v: SIP/2.0/UDP x"))
	push := func(id HeaderID, line string) string {
		return edited(t, m, func(e *Edits) {
			e.PushHeader(m, id)
			e.Text = append(e.Text, line...)
		})
	}
	if got := push(Via, "Via: SIP/2.0/UDP y\r\n"); !strings.HasPrefix(got, "OPTIONS sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP y\r\nVia: SIP/2.0/UDP 192") {
		t.Errorf("Via:\n%s", got)
	}
	if got := push(CSeq, "X: y\r\n"); !strings.Contains(got, "\r\nX: y\r\nCSeq: 1") {
		t.Errorf("CSeq:\n%s", got)
	}
	if got := push(Route, "Route: <sip:x>\r\n"); !strings.HasPrefix(got, "OPTIONS sip:example.com SIP/2.0\r\nRoute: <sip:x>\r\nVia: ") {
		t.Errorf("Route:\n%s", got)
	}
}

func TestDecrementMaxForwards(t *testing.T) {
	for from, to := range map[string]string{"Max-Forwards: 70": "Max-Forwards: 69", "Max-Forwards: 1": "Max-Forwards: 0", "Max-Forwards: 0": "Max-Forwards: 0",
		"Max-Forwards:  0070  ": "Max-Forwards:  69  ", "Max-Forwards: 300": "Max-Forwards: 299"} {
		m := mustParse(t, request(from))
		if got := edited(t, m, func(e *Edits) { e.DecrementMaxForwards(m) }); got != string(request(to)) {
			t.Errorf("%s:\n%s", from, got)
		}
	}
	m := mustParse(t, request("-Max-Forwards"))
	if got := edited(t, m, func(e *Edits) { e.DecrementMaxForwards(m) }); strings.Count(got, "Max-Forwards: 70\r\n") != 1 {
		t.Errorf("without one:\n%s", got)
	}
}

func TestEnsureContentLength(t *testing.T) {
	for _, line := range []string{"Content-Length: 0", "l: 0", "CONTENT-LENGTH : 0"} {
		m := mustParse(t, request("-Content-Length", "+"+line))
		if got := edited(t, m, func(e *Edits) { e.EnsureContentLength(m) }); got != string(m.Raw) {
			t.Errorf("%s:\n%s", line, got)
		}
	}
	m := mustParse(t, append(request("-Content-Length"), "hello"...))
	if got := edited(t, m, func(e *Edits) { e.EnsureContentLength(m) }); got != string(request("Content-Length: 5"))+"hello" {
		t.Errorf("without one:\n%s", got)
	}
}

func TestPopValue(t *testing.T) {
	tests := []struct {
		lines, first, last string // lines separated by "|"
	}{
		{"Route: a", "", ""},
		{"Route: a, b", "Route: b", "Route: a"},
		{"Route:a,b,c", "Route:b,c", "Route:a,b"},
		{"Route:  a , \t b ", "Route:  b ", "Route:  a "},
		{"ROUTE : a|route: b", "route: b", "ROUTE : a"},
		{"Route: a, b|Route: c, d", "Route: b|Route: c, d", "Route: a, b|Route: c"},
		{"Route: a|Route: b, c", "Route: b, c", "Route: a|Route: b"},
		{"Route: ,a", "", ""},
		{"Route: a ,", "", ""},
		{"Route: , a ,, b,", "Route: b,", "Route: , a"},
		{"Route: ,|Route: a|Route:", "Route: ,|Route:", "Route: ,|Route:"},
		{`Route: "x, y" <a,b>;c="1,2", d`, "Route: d", `Route: "x, y" <a,b>;c="1,2"`},
		{"Route: a,\r\n b", "Route: b", "Route: a"},
		{"X: y", "X: y", "X: y"},
		{"Route: ,,", "Route: ,,", "Route: ,,"},
	}
	for _, test := range tests {
		lines := func(s string) []string {
			var out []string
			for l := range strings.SplitSeq(s, "|") {
				if l != "" {
					out = append(out, "+"+l)
				}
			}
			return out
		}
		m := mustParse(t, request(lines(test.lines)...))
		if got, want := edited(t, m, func(e *Edits) { e.PopValue(m, Route) }), string(request(lines(test.first)...)); got != want {
			t.Errorf("%s: PopValue gives\n%q", test.lines, got)
		}
		if got, want := edited(t, m, func(e *Edits) { e.PopLastValue(m, Route) }), string(request(lines(test.last)...)); got != want {
			t.Errorf("%s: PopLastValue gives\n%q", test.lines, got)
		}
	}
}
