package proxy

import (
	"bytes"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/caddysip/caddysip/handler/handlertest"
)

// BenchmarkCall is a whole call over the loopback interface: INVITE 100 180 200 ACK BYE 200. The
// two phones are a part of what is measured; they do little but copy bytes.
func BenchmarkCall(b *testing.B) {
	s := handlertest.Start(b, "register\nproxy")
	alice, bob := dial(b, s), dial(b, s)
	bob.send("REGISTER sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP " + bob.addr + ";branch=z9hG4bKr;rport\r\nFrom: <sip:bob@127.0.0.1>;tag=r\r\n" +
		"To: <sip:bob@127.0.0.1>\r\nCall-ID: r\r\nCSeq: 1 REGISTER\r\nContact: <sip:bob@" + bob.addr + ">\r\nContent-Length: 0\r\n\r\n")
	bob.receive("SIP/2.0 200")
	common := func(id []byte, method string, cseq byte) {
		alice.add("Via: SIP/2.0/UDP ", alice.addr, ";branch=z9hG4bK", string(cseq), "-", string(id), ";rport\r\nMax-Forwards: 70\r\n",
			"From: \"Alice\" <sip:alice@127.0.0.1>;tag=a", string(id), "\r\nCall-ID: ", string(id), "@", alice.addr, "\r\nCSeq: ", string(cseq), " ", method,
			"\r\nContact: <sip:alice@", alice.addr, ">\r\nUser-Agent: snomD385/10.1.141.13\r\n",
			"Allow: INVITE, ACK, CANCEL, BYE, REFER, OPTIONS, NOTIFY, SUBSCRIBE, PRACK, MESSAGE, INFO, UPDATE\r\n")
	}
	const sdp = "v=0\r\no=root 813284710 813284711 IN IP4 127.0.0.1\r\ns=call\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 51216 RTP/AVP 9 101\r\n" +
		"a=rtpmap:9 G722/8000\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\na=sendrecv\r\n"
	var id, routes []byte
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		n++
		id = strconv.AppendInt(id[:0], int64(n), 10)
		alice.add("INVITE sip:bob@", s.Addr.Addr().String(), " SIP/2.0\r\n")
		common(id, "INVITE", '1')
		alice.add("To: <sip:bob@127.0.0.1>\r\nContent-Type: application/sdp\r\nContent-Length: ", strconv.Itoa(len(sdp)), "\r\n\r\n", sdp)
		alice.flush()
		bob.receive("INVITE")
		bob.answer("180 Ringing", "")
		bob.answer("200 OK", sdp)
		for range 3 {
			alice.receive("SIP/2.0 ")
		}
		routes = lines(routes[:0], alice.in, "Record-Route: ", "Route: ")
		for _, method := range []string{"ACK", "BYE"} {
			alice.add(method, " sip:bob@", bob.addr, " SIP/2.0\r\n")
			common(id, method, '2')
			alice.add("To: <sip:bob@127.0.0.1>;tag=b\r\n", string(routes), "Content-Length: 0\r\n\r\n")
			alice.flush()
			bob.receive(method)
		}
		bob.answer("200 OK", "")
		alice.receive("SIP/2.0 200")
	}
}

// BenchmarkRefused is an INVITE for nobody.
func BenchmarkRefused(b *testing.B) {
	s := handlertest.Start(b, "register\nproxy")
	alice := dial(b, s)
	b.ReportAllocs()
	for b.Loop() {
		alice.send("OPTIONS sip:nobody@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5;branch=z9hG4bKr;rport\r\nFrom: <sip:bob@127.0.0.1>;tag=r\r\n" +
			"To: <sip:nobody@127.0.0.1>\r\nCall-ID: r\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n")
		alice.receive("SIP/2.0 404")
	}
}

// fast is a phone that works on bytes alone.
type fast struct {
	b       *testing.B
	conn    net.Conn
	addr    string
	in, out []byte
}

func dial(b *testing.B, s *handlertest.Server) *fast {
	c, err := net.Dial("udp", s.Addr.String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	return &fast{b: b, conn: c, addr: c.LocalAddr().String(), in: make([]byte, 1<<16)}
}

func (f *fast) add(parts ...string) {
	for _, p := range parts {
		f.out = append(f.out, p...)
	}
}

func (f *fast) flush() {
	if _, err := f.conn.Write(f.out); err != nil {
		f.b.Fatal(err)
	}
	f.out = f.out[:0]
}

func (f *fast) send(text string) {
	f.add(text)
	f.flush()
}

// receive waits for a message that starts like that. What the server repeats, when the machine is
// busy, is passed over.
func (f *fast) receive(start string) {
	if err := f.conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		f.b.Fatal(err)
	}
	for first := true; first || !bytes.HasPrefix(f.in, []byte(start)); first = false {
		n, err := f.conn.Read(f.in[:cap(f.in)])
		if err != nil {
			f.b.Fatalf("waiting for %s: %v", start, err)
		}
		f.in = f.in[:n]
	}
}

// answer answers the request that was received last.
func (f *fast) answer(status, body string) {
	f.add("SIP/2.0 ", status, "\r\n")
	for _, name := range []string{"Via: ", "Record-Route: ", "From: ", "To: ", "Call-ID: ", "CSeq: "} {
		f.out = lines(f.out, f.in, name, name)
		if name == "To: " && !bytes.Contains(f.out, []byte(";tag=b\r\n")) {
			f.out = append(f.out[:len(f.out)-2], ";tag=b\r\n"...)
		}
	}
	f.add("Contact: <sip:bob@", f.addr, ">\r\nContent-Type: application/sdp\r\nContent-Length: ", strconv.Itoa(len(body)), "\r\n\r\n", body)
	f.flush()
}

// lines appends all lines of a message that start with name, starting with another one.
func lines(dst, m []byte, name, other string) []byte {
	for len(m) > 0 {
		i := bytes.IndexByte(m, '\n') + 1
		if i <= 2 {
			return dst
		}
		if bytes.HasPrefix(m[:i], []byte(name)) {
			dst = append(append(dst, other...), m[len(name):i]...)
		}
		m = m[i:]
	}
	return dst
}
