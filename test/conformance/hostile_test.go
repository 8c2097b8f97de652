package conformance

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/internal/budget"
	"github.com/caddysip/caddysip/internal/inside"
)

// start runs a server with a registrar and a proxy and a phone of bob's.
func start(t *testing.T, directives string) (s *handlertest.Server, bob *handlertest.Peer) {
	t.Helper()
	s = handlertest.Start(t, "register\n"+directives)
	bob = s.UDP()
	register(t, bob, "sip:bob@127.0.0.1")
	return s, bob
}

// TestManyParameters defends whoever looks parameters up one by one: each look-up of thousands
// takes long, and one for each of them takes seconds.
func TestManyParameters(t *testing.T) {
	s, bob := start(t, "proxy")
	many := func(sep string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "%sp%d", sep, i)
		}
		return b.String()
	}
	for _, p := range peers(s) {
		for _, place := range []struct{ uri, line string }{
			{"sip:bob@127.0.0.1%", "To: <sip:bob@127.0.0.1>"},
			{"sip:bob@127.0.0.1", "Via: SIP/2.0/{transport} {me};branch={branch};rport%"},
			{"sip:bob@127.0.0.1", "Via: SIP/2.0/{transport} {me};branch={branch};rport, SIP/2.0/UDP 192.0.2.1%"},
			{"sip:bob@127.0.0.1", "From: <sip:mallory@127.0.0.1>;tag=1%"},
			{"sip:bob@127.0.0.1", "To: <sip:bob@127.0.0.1%>"},
			{"sip:bob@127.0.0.1", "Contact: <sip:mallory@127.0.0.1%>"},
			{"sip:bob@127.0.0.1", "m: sip:mallory@127.0.0.1%"},
			{"sip:bob@127.0.0.1", "Contact: <sip:mallory@127.0.0.1?a=b&>"},
			{"sip:bob@127.0.0.1", "Record-Route: <sip:192.0.2.1;lr%>"},
			{"sip:bob@127.0.0.1", "X-Unknown: %"},
			{"sip:bob@127.0.0.1", "X-Folded: a\n %"},
		} {
			for _, n := range []int{65, 5000} {
				since := drops(s)
				with := func(text string) string {
					if strings.Contains(text, "&") {
						return strings.Replace(text, "&", many("&", n), 1)
					}
					return strings.Replace(text, "%", many(";", n), 1)
				}
				p.Send(request("MESSAGE", with(place.uri), with(place.line)))
				if m := p.Receive(); m.Line() != "SIP/2.0 400 Too Many Parameters" {
					t.Fatalf("%d in %+v: %s", n, place, m.Line())
				}
				wantDrops(t, since, "malformed")
			}
		}
		p.Nothing()
	}
	bob.Nothing()
}

// TestManyHeaderLines defends the list of header lines, which has a limit. One line may be as long
// as a message, folded ten thousand times.
func TestManyHeaderLines(t *testing.T) {
	s, bob := start(t, "proxy")
	for _, p := range peers(s) {
		for _, line := range []string{"a:\n", "v: SIP/2.0/UDP h\n", "Contact: <sip:a>\n", "l: 0\n"} {
			since := drops(s)
			p.Send(request("MESSAGE", "sip:bob@127.0.0.1", strings.TrimSuffix(strings.Repeat(line, 40000/len(line)), "\n")))
			m := p.Receive()
			// Which Vias there were is not known, so those that were seen are in the answer, and no
			// more than a message may have lines.
			if m.Line() != "SIP/2.0 400 Too Many Headers" || len(m.Headers("Via")) > 128 {
				t.Errorf("%q: %s with %d Vias", line, m.Line(), len(m.Headers("Via")))
			}
			wantDrops(t, since, "headers")
		}
		// When the Via is not among the first, nobody knows where an answer would go.
		since := drops(s)
		p.Send("MESSAGE sip:bob@127.0.0.1 SIP/2.0\n" + strings.Repeat("a:\n", 15000) + "l: 0\n\n")
		p.Nothing()
		wantDrops(t, since, "headers")

		p.Send(request("OPTIONS", "sip:127.0.0.1", "X-Folded: a"+strings.Repeat("\n ", 10000)+"b"))
		p.Expect("SIP/2.0 200 OK\r\n")
		p.Nothing()
	}
	bob.Nothing()
}

// TestDrip defends everybody else from a client that sends a byte at a time: its message is read,
// others don't wait for it, and what never ends is cut off at the size of the largest message. That
// time is limited too is tested where time can be turned.
func TestDrip(t *testing.T) {
	s, bob := start(t, "proxy")
	drip, other := s.TCP(), s.TCP()
	for i, c := range []byte(strings.ReplaceAll("OPTIONS sip:127.0.0.1 SIP/2.0\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\nFrom: <sip:a@b>;tag=1\nTo: <sip:c@d>\n"+
		"Call-ID: 1\nCSeq: 1 OPTIONS\nContent-Length: 5\n\nhello", "\n", "\r\n")) {
		drip.SendRaw([]byte{c})
		if i%50 == 0 {
			other.Nothing()
			bob.Nothing()
		}
	}
	drip.Expect("SIP/2.0 200 OK\r\n")
	drip.Nothing()

	since := drops(s)
	endless := s.TCP()
	endless.SendRaw([]byte("OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\nX: "))
	for range 64 {
		endless.SendRaw(bytes.Repeat([]byte{'x'}, 1024))
	}
	endless.Expect("SIP/2.0 513 Message Too Large\r\n")
	endless.Closed()
	wantDrops(t, since, "too_large")
	other.Nothing()
}

// TestContentLength defends the border between messages: where two readers may see different ones,
// there is no message.
func TestContentLength(t *testing.T) {
	s, bob := start(t, "proxy")
	// What one reader takes for a body is a message to another.
	hidden := strings.ReplaceAll(request("MESSAGE", "sip:bob@127.0.0.1", "Via: SIP/2.0/TCP hidden;branch=z9hG4bKhidden", "Call-ID: hidden"), "\n", "\r\n")
	const tooLarge = "413 Request Entity Too Large" // it is not waited for
	for _, tc := range []struct {
		lines  string
		udp    string
		closes bool   // a stream
		tcp    string // when it is another answer
	}{
		{"Content-Length: 0\r\nContent-Length: 0\r\n", "400 Duplicate Header", false, ""},
		{"Content-Length: 0\r\nl: 0\r\n", "400 Duplicate Header", false, ""},
		{fmt.Sprintf("Content-Length: 0\r\nContent-Length: %d\r\n", len(hidden)), "400 Duplicate Header", true, ""},
		{fmt.Sprintf("L: %d\r\nContent-Length: 0\r\n", len(hidden)), "400 Duplicate Header", true, ""},
		{fmt.Sprintf("Content-Length:0\r\nCONTENT-LENGTH : %d\r\n", len(hidden)), "400 Duplicate Header", true, ""},
		{"Content-Length: -1\r\n", "400 Malformed Content-Length", true, ""},
		{"Content-Length: +1\r\n", "400 Malformed Content-Length", true, ""},
		{"Content-Length: 0x1\r\n", "400 Malformed Content-Length", true, ""},
		{"Content-Length: 0, 1\r\n", "400 Malformed Content-Length", true, ""},
		{"Content-Length: 0 1\r\n", "400 Malformed Content-Length", true, ""},
		{"Content-Length: 0\r\n 1\r\n", "400 Malformed Content-Length", true, ""},
		{"Content-Length: five\r\n", "400 Malformed Content-Length", true, ""},
		{"Content-Length: \"0\"\r\n", "400 Malformed Content-Length", true, ""},
		{"Content-Length: 0\x00\r\n", "400 Malformed Content-Length", true, ""},
		{"Content-Length:\r\n", "400 Malformed Content-Length", true, ""},
		{"Content-Length: 2147483648\r\n", "400 Malformed Content-Length", true, tooLarge},
		{"Content-Length: 4294967296\r\n", "400 Malformed Content-Length", true, tooLarge},
		{"Content-Length: 18446744073709551616\r\n", "400 Malformed Content-Length", true, tooLarge},
		{"Content-Length: " + strings.Repeat("9", 1000) + "\r\n", "400 Malformed Content-Length", true, tooLarge},
		{"Content-Length: 65536\r\n", "400 Body Shorter Than Content-Length", true, tooLarge},
	} {
		head := "OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1;rport\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\n" +
			"Call-ID: 1\r\nCSeq: 1 OPTIONS\r\n"
		for _, p := range peers(s) {
			tcp := p.Transport() == "TCP"
			body := hidden
			if tcp && !tc.closes {
				body = ""
			}
			since := drops(s)
			p.SendRaw([]byte(head + tc.lines + "\r\n" + body))
			m := p.Receive()
			want := tc.udp
			if tcp && tc.tcp != "" {
				want = tc.tcp
			}
			if m.Line() != "SIP/2.0 "+want {
				t.Errorf("%s %q: %s", p.Transport(), tc.lines, m.Line())
			}
			switch {
			case tcp && want == tooLarge:
				p.Closed()
				wantDrops(t, since, "too_large")
			case tcp && tc.closes:
				p.Closed()
				wantDrops(t, since, "framing")
			default:
				p.Nothing()
				wantDrops(t, since, "malformed")
			}
		}
	}
	bob.Nothing()
}

// TestGarbage sends what is no SIP: it is counted, nobody is answered, and the server goes on.
func TestGarbage(t *testing.T) {
	s, bob := start(t, "proxy")
	p := s.UDP()
	for _, tc := range []struct{ data, reason string }{
		{"\x00\x00\x00\x00", "keepalive"},
		{strings.Repeat("\x00", 60000), "keepalive"},
		{"\r\n\r\n", "keepalive"},
		{strings.Repeat("\r\n", 30000), "keepalive"},
		{"x", "short"},
		{"SIP/2.0", "short"},
		{strings.Repeat("x", 60000), "malformed"},
		{strings.Repeat("\xff", 60000), "malformed"},
		{strings.Repeat("\n:", 30000), "malformed"},
		{"\x00\x01\x00\x08\x21\x12\xa4\x42" + strings.Repeat("a", 40), "malformed"}, // STUN
		{"GET / HTTP/1.1\r\nHost: example.com\r\nUser-Agent: x\r\n\r\n", "malformed"},
		{"OPTIONS sip:127.0.0.1 SIP/2.0\r\n\r\n" + strings.Repeat(" ", 30), "malformed"},
		{"SIP/2.0 200 OK\r\n" + strings.Repeat("Via: x\r\n", 20) + "\r\n", "malformed"},
		{"ACK sip:bob@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP h;rport\r\n\r\n", "malformed"}, // nothing answers an ACK
	} {
		since := drops(s)
		p.SendRaw([]byte(tc.data))
		p.Nothing()
		wantDrops(t, since, tc.reason)
	}
	for _, tc := range []struct{ data, reason string }{
		{"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", "framing"},
		{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("x\n", 40000), "too_large"}, // TLS
		{strings.Repeat("\x00", 70000) + strings.Repeat("\x01", 70000), "too_large"},
	} {
		since := drops(s)
		p := s.TCP()
		p.SendRaw([]byte(tc.data))
		p.Closed()
		wantDrops(t, since, tc.reason)
	}
	bob.Nothing()
}

// TestLargest sends the largest messages there are, and larger ones.
func TestLargest(t *testing.T) {
	s, bob := start(t, "proxy")
	sized := func(transport string, size int, body bool) []byte {
		text := "OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/" + transport + " h;branch=z9hG4bK1;rport\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\n" +
			"Call-ID: 1\r\nCSeq: 1 OPTIONS\r\n"
		if body {
			head := text + "Content-Length: 60000\r\n\r\n"
			n := size - len(head)
			return []byte(strings.Replace(head, "60000", fmt.Sprint(n), 1) + strings.Repeat("x", n))
		}
		end := "\r\nContent-Length: 0\r\n\r\n"
		return []byte(text + "X: " + strings.Repeat("x", size-len(text)-len(end)-3) + end)
	}
	for _, body := range []bool{false, true} {
		p := s.UDP()
		p.SendRaw(sized("UDP", 65507, body)) // as much as a datagram can have
		p.Expect("SIP/2.0 200 OK\r\n")
		p.Nothing()
		tcp := s.TCP()
		tcp.SendRaw(sized("TCP", 65535, body))
		tcp.Expect("SIP/2.0 200 OK\r\n")
		tcp.Nothing()
		for _, size := range []int{65536, 90000} {
			since := drops(s)
			tcp := s.TCP()
			tcp.SendRaw(sized("TCP", size, body))
			if body {
				tcp.Expect("SIP/2.0 413 Request Entity Too Large\r\n")
			} else {
				tcp.Expect("SIP/2.0 513 Message Too Large\r\n")
			}
			tcp.Closed()
			wantDrops(t, since, "too_large")
		}
	}
	bob.Nothing()
}

// TestSlowReader defends memory, and everybody else, from a client that asks and never reads.
func TestSlowReader(t *testing.T) {
	s, logged := withLog(t, "ERROR", "respond")
	c, err := net.Dial("tcp", s.Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// The answer repeats the Via, so it is as long as the question.
	question := []byte(strings.ReplaceAll("OPTIONS sip:127.0.0.1 SIP/2.0\nVia: SIP/2.0/TCP h;branch=z9hG4bK"+strings.Repeat("x", 60000)+"\nFrom: <sip:a@b>;tag=1\n"+
		"To: <sip:c@d>\nCall-ID: 1\nCSeq: 1 OPTIONS\nContent-Length: 0\n\n", "\n", "\r\n"))
	// Nothing more is taken, or the connection is closed: what the server holds and what is in the
	// kernel's buffers is all.
	for n := 0; err == nil; n++ {
		if n > 500 {
			t.Fatal("30 MB were taken from a client that reads nothing")
		}
		if err := c.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		_, err = c.Write(question)
	}
	if held := inside.AppOf(s.App()).Engine.Budget.Used(budget.Queues); held > 1<<20 {
		t.Errorf("%d bytes wait for a client that reads nothing", held)
	}
	for _, p := range peers(s) {
		p.Nothing()
	}
	_ = c.Close()
	if text := logged(); text != "" {
		t.Errorf("anybody can fill the log with\n%s", text)
	}
}
