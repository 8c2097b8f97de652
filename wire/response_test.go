package wire

import (
	"net/netip"
	"strings"
	"testing"
)

func TestAppendResponse(t *testing.T) {
	tests := []struct {
		name   string
		raw    []byte
		status int
		reason string
		source string
		o      ResponseOptions
		want   string
	}{
		{"register", register, 200, "OK", "198.51.100.7:1024", ResponseOptions{ToTag: []byte("t1")}, `SIP/2.0 200 OK
Via: SIP/2.0/UDP 192.0.2.20:5060;branch=z9hG4bK-d8754z-1b2c3d4e5f;rport=1024;received=198.51.100.7
From: "Reception" <sip:101@example.com>;tag=a73kszlfl
To: "Reception" <sip:101@example.com>;tag=t1
Call-ID: 1j9FpLxk3uxtm8tn@192.0.2.20
CSeq: 1826 REGISTER
Content-Length: 0

`},
		{"everything", crlf(`INVITE sip:a SIP/2.0
v: SIP/2.0/UDP [2001:db8::1];branch=z9hG4bK1,SIP/2.0/UDP b
VIA :SIP/2.0/TCP c
f: <sip:x>;tag=f
t: <sip:y>;tag=own
i: call
cseq: 007  INVITE
Record-Route: <sip:r1;lr>, <sip:r2;lr>
record-route: <sip:r3;lr>
Timestamp: 54

`), 183, "Session\r\nProgress", "[2001:db8::1%eth0]:5060", ResponseOptions{ToTag: []byte("t1"), RecordRoute: true, Header: []byte("Contact: <sip:us>\r\nX: y\r\n"),
			ContentType: "text/plain\r\nX-Evil: 1", Body: []byte("hello")}, `SIP/2.0 183 Session  Progress
Via: SIP/2.0/UDP [2001:db8::1];branch=z9hG4bK1,SIP/2.0/UDP b
Via: SIP/2.0/TCP c
Record-Route: <sip:r1;lr>, <sip:r2;lr>
Record-Route: <sip:r3;lr>
From: <sip:x>;tag=f
To: <sip:y>;tag=own
Call-ID: call
CSeq: 007  INVITE
Contact: <sip:us>
X: y
Content-Type: text/plain  X-Evil: 1
Content-Length: 5

hello`},
		{"trying", request("+Timestamp: 54", "+Record-Route: <sip:r>"), 100, "Trying", "[::ffff:192.0.2.20]:9", ResponseOptions{}, `SIP/2.0 100 Trying
Via: SIP/2.0/UDP 192.0.2.20:5060;branch=z9hG4bK1;rport=9;received=192.0.2.20
From: <sip:101@example.com>;tag=a
To: <sip:102@example.com>
Call-ID: 1@192.0.2.20
CSeq: 1 OPTIONS
Timestamp: 54
Content-Length: 0

`},
	}
	for _, test := range tests {
		m := mustParse(t, test.raw)
		got := string(m.AppendResponse([]byte("dst"), test.status, test.reason, netip.MustParseAddrPort(test.source), &test.o))
		if want := "dst" + strings.ReplaceAll(test.want, "\n", "\r\n"); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", test.name, got, want)
		}
	}
}

func TestAppendResponseAllocates(t *testing.T) {
	for _, raw := range [][]byte{register, request("Via: SIP/2.0/UDP [2001:db8::1]:5060;branch=z9hG4bK1")} {
		m := mustParse(t, raw)
		buf := make([]byte, 0, 2048)
		o := ResponseOptions{ToTag: []byte("t")}
		if n := testing.AllocsPerRun(100, func() { buf = m.AppendResponse(buf[:0], 200, "OK", anySource, &o) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	}
}

func TestResponseAddr(t *testing.T) {
	source := netip.MustParseAddrPort("[2001:db8::7]:1024")
	for via, want := range map[string]string{
		"h;rport":                   "[2001:db8::7]:1024",
		"h:5070;rport=9":            "[2001:db8::7]:1024",
		"h:5070":                    "[2001:db8::7]:5070",
		"192.0.2.1":                 "[2001:db8::7]:5060",
		"h;maddr=192.0.2.1":         "[2001:db8::7]:5060",
		"h:5070;received=192.0.2.1": "[2001:db8::7]:5070",
	} {
		if got := mustParse(t, request("Via: SIP/2.0/UDP "+via)).ResponseAddr(source); got != netip.MustParseAddrPort(want) {
			t.Errorf("%s: %v", via, got)
		}
	}
}

func TestAppendACKAndCANCEL(t *testing.T) {
	sent := mustParse(t, crlf(`INVITE sip:432@192.0.2.20:5060;line=ab SIP/2.0
Route: <sip:r1;lr>, <sip:r2;lr>
Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKours, SIP/2.0/UDP 192.0.2.20;branch=z9hG4bK1
v: SIP/2.0/UDP 192.0.2.21;branch=z9hG4bK0
Route: <sip:r3;lr>
f: "A" <sip:101@example.com>;tag=a
To: <sip:432@example.com>
Call-ID: call
Cseq: 0042 INVITE
Max-Forwards: 12
Contact: <sip:x>
Require: foo
Content-Type: text/plain
Content-Length: 5

hello`))
	response := mustParse(t, request("SIP/2.0 486 Busy Here", "To: \"\\\x01\" <sip:432@example.com> ;tag=b"))
	const rest = `sip:432@192.0.2.20:5060;line=ab SIP/2.0
Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKours
Max-Forwards: 70
Route: <sip:r1;lr>, <sip:r2;lr>
Route: <sip:r3;lr>
From: "A" <sip:101@example.com>;tag=a
`
	want := string(crlf("dstACK " + rest + "To: \"\\\x01\" <sip:432@example.com> ;tag=b\nCall-ID: call\nCSeq: 42 ACK\nContent-Length: 0\n\n"))
	if got := string(sent.AppendACK([]byte("dst"), response)); got != want {
		t.Errorf("ACK:\n%s\nwant\n%s", got, want)
	}
	want = string(crlf("CANCEL " + rest + "To: <sip:432@example.com>\nCall-ID: call\nCSeq: 42 CANCEL\nReason: SIP;cause=200\nContent-Length: 0\n\n"))
	if got := string(sent.AppendCANCEL(nil, []byte("Reason: SIP;cause=200\r\n"))); got != want {
		t.Errorf("CANCEL:\n%s\nwant\n%s", got, want)
	}
}
