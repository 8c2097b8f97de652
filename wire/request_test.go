package wire

import (
	"strings"
	"testing"
)

func TestAppendRequest(t *testing.T) {
	f := RequestFields{
		Method: "MESSAGE", URI: []byte("sip:101@192.0.2.20:5060;line=ab12cd34"),
		Transport: "UDP", SentBy: []byte("192.0.2.1:5060"), Branch: []byte("z9hG4bKabc"),
		From: []byte("sip:server@192.0.2.1"), FromTag: []byte("f1"), To: []byte("<sip:433@example.com>"), CallID: []byte("c1"), CSeq: 1,
	}
	const head = `MESSAGE sip:101@192.0.2.20:5060;line=ab12cd34 SIP/2.0
Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKabc;rport
Max-Forwards: 70
`
	const names = `From: <sip:server@192.0.2.1>;tag=f1
To: <sip:433@example.com>
Call-ID: c1
CSeq: 1 MESSAGE
`
	if got, want := string(AppendRequest([]byte("dst"), &f)), "dst"+string(crlf(head+names+"Content-Length: 0\n\n")); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	f.Contact = []byte("sip:192.0.2.1:5060")
	f.Route = [][]byte{[]byte("<sip:r1;lr>"), []byte("<sip:r2;lr>,<sip:r3;lr>")}
	f.Header = AppendHeader(nil, "Event", "check-sync;reboot=false")
	f.ContentType, f.Body = "application/x-buttons", []byte("k=2\r\nc=on\r\n")
	want := string(crlf(head + "Route: <sip:r1;lr>\nRoute: <sip:r2;lr>,<sip:r3;lr>\n" + names + `Contact: <sip:192.0.2.1:5060>
Event: check-sync;reboot=false
Content-Type: application/x-buttons
Content-Length: 11

k=2
c=on
`))
	got := AppendRequest(nil, &f)
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	m := mustParse(t, got)
	if m.Method != MESSAGE || m.CSeq != 1 || string(m.FromTag()) != "f1" || string(m.Body()) != "k=2\r\nc=on\r\n" || !m.Via.HasMagicCookie() || !m.Via.HasRPort {
		t.Errorf("%+v", m)
	}
	buf := make([]byte, 0, 2048)
	if n := testing.AllocsPerRun(100, func() { buf = AppendRequest(buf[:0], &f) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestAppendRequestInjection fills every field with what would be a header of its own.
func TestAppendRequestInjection(t *testing.T) {
	const evil = "x\r\nX-Evil: 1\r\n\r\n"
	b := []byte(evil)
	f := RequestFields{Method: evil, URI: b, Transport: evil, SentBy: b, Branch: b, From: b, FromTag: b, To: b, CallID: b, Contact: b, Route: [][]byte{b},
		ContentType: evil, Body: []byte("body")}
	got := string(AppendRequest(nil, &f))
	header, body, ok := strings.Cut(got, "\r\n\r\n")
	if !ok || body != "body" || strings.Count(header, "\n") != 10 || strings.Count(header, "\r") != 10 {
		t.Errorf("%q", got)
	}
	for line := range strings.SplitSeq(header, "\r\n") {
		if strings.HasPrefix(line, "X-Evil") {
			t.Errorf("%q", got)
		}
	}
	if !strings.Contains(got, "\r\nFrom: <x%0D%0AX-Evil:%201%0D%0A%0D%0A>;tag=") {
		t.Errorf("%q", got)
	}
}
