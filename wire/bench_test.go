package wire

import (
	"net/netip"
	"strings"
	"testing"
)

func crlf(s string) []byte { return []byte(strings.ReplaceAll(s, "\n", "\r\n")) }

// register has 866 bytes, as one of a desk phone has with its credentials.
var register = crlf(`REGISTER sip:example.com SIP/2.0
Via: SIP/2.0/UDP 192.0.2.20:5060;branch=z9hG4bK-d8754z-1b2c3d4e5f;rport
Max-Forwards: 70
From: "Reception" <sip:101@example.com>;tag=a73kszlfl
To: "Reception" <sip:101@example.com>
Call-ID: 1j9FpLxk3uxtm8tn@192.0.2.20
CSeq: 1826 REGISTER
Contact: <sip:101@192.0.2.20:5060;line=ab12cd34>;q=1.0;reg-id=1;+sip.instance="<urn:uuid:04134e2a-0000-1000-8000-000413234567>"
User-Agent: snom370/8.7.5.48
Authorization: Digest username="101",realm="example.com",nonce="1790a3c5bb6a4e51f1c2d3e4",uri="sip:example.com",qop=auth,nc=00000001,cnonce="4f2e1d0",response="8a1bb1b1a5c7f0e2d3c4b5a697887766",algorithm=MD5,opaque="5ccc069c403ebaf9f0171e9517f40e41"
Allow: INVITE, ACK, CANCEL, BYE, REFER, OPTIONS, NOTIFY, SUBSCRIBE, INFO
Supported: path, gruu
Allow-Events: dialog
X-Real-IP: 192.0.2.20
Expires: 3600
Content-Length: 0

`)

var invite = crlf(`INVITE sip:432@example.com;user=phone SIP/2.0
Via: SIP/2.0/UDP 192.0.2.20:5060;branch=z9hG4bK-cjlvpy3p2gz1;rport
From: "Reception" <sip:101@example.com>;tag=bnhdqb0f7k
To: <sip:432@example.com;user=phone>
Call-ID: 4d2c6b65e3a1-kq4dxzxn3fy6
CSeq: 1 INVITE
Max-Forwards: 70
User-Agent: snom370/8.7.5.48
Contact: <sip:101@192.0.2.20:5060;line=ab12cd34>;reg-id=1
X-Serialnumber: 00041323ABCD
P-Key-Flags: keys="3"
Accept: application/sdp
Allow: INVITE, ACK, CANCEL, BYE, REFER, OPTIONS, NOTIFY, SUBSCRIBE, PRACK, MESSAGE, INFO, UPDATE
Allow-Events: talk, hold, refer, call-info
Supported: timer, 100rel, replaces, from-change
Session-Expires: 3600
Min-SE: 90
Content-Type: application/sdp
Content-Length: 269

v=0
o=root 1894230312 1894230312 IN IP4 192.0.2.20
s=call
c=IN IP4 192.0.2.20
t=0 0
m=audio 54332 RTP/AVP 9 0 8 3 99 101
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=ptime:20
a=sendrecv
`)

func BenchmarkParse(b *testing.B) {
	for name, raw := range map[string][]byte{"REGISTER": register, "INVITE": invite} {
		b.Run(name, func(b *testing.B) {
			var m Message
			b.ReportAllocs()
			for b.Loop() {
				if err := m.Parse(raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkClone(b *testing.B) {
	m, dst := mustParse(b, register), new(Message)
	b.ReportAllocs()
	for b.Loop() {
		m.Clone(dst)
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

func BenchmarkAppendRequest(b *testing.B) {
	f := RequestFields{
		Method: "MESSAGE", URI: []byte("sip:101@192.0.2.20:5060;line=ab12cd34"),
		Transport: "UDP", SentBy: []byte("192.0.2.1:5060"), Branch: []byte("z9hG4bKabc"),
		From: []byte("sip:server@192.0.2.1"), FromTag: []byte("f1"), To: []byte("<sip:433@example.com>"), CallID: []byte("c1"), CSeq: 1,
		ContentType: "application/x-buttons", Body: []byte("k=2\r\nc=on\r\n"),
	}
	buf := make([]byte, 0, 2048)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendRequest(buf[:0], &f)
	}
}
