package wire

import (
	"net/netip"
	"strings"
	"testing"
)

func crlf(s string) []byte { return []byte(strings.ReplaceAll(s, "\n", "\r\n")) }

var register = crlf(`REGISTER sip:example.com SIP/2.0
Via: SIP/2.0/UDP 192.0.2.20:5060;branch=z9hG4bK-d8754z-1b2c3d4e5f;rport
Max-Forwards: 70
From: "Reception" <sip:101@example.com>;tag=a73kszlfl
To: "Reception" <sip:101@example.com>
Call-ID: 1j9FpLxk3uxtm8tn@192.0.2.20
CSeq: 1826 REGISTER
Contact: <sip:101@192.0.2.20:5060;line=ab12cd34>;q=1.0;reg-id=1;+sip.instance="<urn:uuid:04134e2a-0000-1000-8000-000413234567>"
User-Agent: snom370/8.7.5.48
Supported: path, gruu
Allow-Events: dialog
X-Real-IP: 192.0.2.20
Expires: 3600
Content-Length: 0

`)

func BenchmarkParse(b *testing.B) {
	var m Message
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Parse(register); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendResponse(b *testing.B) {
	var m Message
	if err := m.Parse(register); err != nil {
		b.Fatal(err)
	}
	source := netip.MustParseAddrPort("192.0.2.20:5062")
	buf := make([]byte, 0, 2048)
	tag := []byte("8f3b9a")
	b.ReportAllocs()
	for b.Loop() {
		buf = m.AppendResponse(buf[:0], 200, "OK", source, &ResponseOptions{ToTag: tag})
	}
}

func TestResponse(t *testing.T) {
	var m Message
	if err := m.Parse(register); err != nil {
		t.Fatal(err)
	}
	got := string(m.AppendResponse(nil, 200, "OK", netip.MustParseAddrPort("198.51.100.7:1024"), &ResponseOptions{ToTag: []byte("t1")}))
	want := string(crlf(`SIP/2.0 200 OK
Via: SIP/2.0/UDP 192.0.2.20:5060;branch=z9hG4bK-d8754z-1b2c3d4e5f;rport=1024;received=198.51.100.7
From: "Reception" <sip:101@example.com>;tag=a73kszlfl
To: "Reception" <sip:101@example.com>;tag=t1
Call-ID: 1j9FpLxk3uxtm8tn@192.0.2.20
CSeq: 1826 REGISTER
Content-Length: 0

`))
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if string(m.FromTag()) != "a73kszlfl" || m.ToTag() != nil {
		t.Errorf("tags %q %q", m.FromTag(), m.ToTag())
	}
}

func BenchmarkForward(b *testing.B) {
	var m Message
	if err := m.Parse(register); err != nil {
		b.Fatal(err)
	}
	source := netip.MustParseAddrPort("192.0.2.20:5062")
	buf := make([]byte, 0, 2048)
	var e Edits
	b.ReportAllocs()
	for b.Loop() {
		e.Reset()
		e.SetRequestURI(&m, []byte("sip:101@192.0.2.99;line=1"))
		e.PushHeader(&m, Via)
		e.Text = append(e.Text, "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKabc\r\n"...)
		e.StampVia(&m, source)
		e.DecrementMaxForwards(&m)
		e.PushHeader(&m, RecordRoute)
		e.Text = append(e.Text, "Record-Route: <sip:192.0.2.1;lr>\r\n"...)
		buf = e.Append(buf[:0], m.Raw)
	}
}
