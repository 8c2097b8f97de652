package hostile

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/internal/budget"
	"github.com/caddysip/caddysip/internal/inside"
)

// slowPhone is a phone on a TCP connection with small buffers, which reads only when told to.
type slowPhone struct {
	net.Conn
	t *testing.T
	r *bufio.Reader
}

func slow(t *testing.T, s *handlertest.Server, user string) *slowPhone {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.(*net.TCPConn).SetReadBuffer(8 << 10); err != nil {
		t.Fatal(err)
	}
	p := &slowPhone{Conn: conn, t: t, r: bufio.NewReader(conn)}
	p.say("REGISTER", user, 1)
	if first, _ := p.next(); first != "SIP/2.0 200 OK" {
		t.Fatal(first)
	}
	return p
}

// say sends a request to the server.
func (p *slowPhone) say(method, user string, cseq int) {
	p.t.Helper()
	me := p.LocalAddr()
	_, err := fmt.Fprintf(p, "%s sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP %s;branch=z9hG4bKslow%d\r\nMax-Forwards: 70\r\n"+
		"From: <sip:%s@127.0.0.1>;tag=f\r\nTo: <sip:%s@127.0.0.1>\r\nCall-ID: slow-%s\r\nCSeq: %d %s\r\n"+
		"Contact: <sip:%s@%s;transport=tcp>\r\nContent-Length: 0\r\n\r\n", method, me, cseq, user, user, user, cseq, method, user, me)
	if err != nil {
		p.t.Fatal(err)
	}
}

// next reads a message, and returns its first line and its header fields.
func (p *slowPhone) next() (first string, header textproto.MIMEHeader) {
	p.t.Helper()
	_ = p.SetReadDeadline(time.Now().Add(patience))
	r := textproto.NewReader(p.r)
	first, err := r.ReadLine()
	if err != nil {
		p.t.Fatalf("the phone reads: %v", err)
	}
	header, err = r.ReadMIMEHeader()
	if err != nil {
		p.t.Fatalf("the phone reads: %v", err)
	}
	n, _ := strconv.Atoi(header.Get("Content-Length"))
	if _, err := io.CopyN(io.Discard, p.r, int64(n)); err != nil {
		p.t.Fatalf("the phone reads: %v", err)
	}
	return first, header
}

// TestSlowPhone sends to a phone faster than it reads. What is over the limit is refused. The phone
// keeps its connection and its registration, gets its own responses, and others can reach it.
func TestSlowPhone(t *testing.T) {
	const n, size = 120, 60_000
	s := handlertest.Start(t, "hostile_slow_timers\nregister\nproxy")
	flood := udp(t, s, "flood")
	other := &phone{Peer: s.UDPFrom("127.0.0.2"), t: t, s: s, user: "other"}
	p := slow(t, s, "bob")

	body := strings.Repeat("x", size)
	refused := 0
	for i := range n {
		flood.SendRaw([]byte(fmt.Sprintf("MESSAGE sip:bob@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKflood%d;rport\r\n"+
			"Max-Forwards: 70\r\nFrom: <sip:flood@127.0.0.1>;tag=f\r\nTo: <sip:bob@127.0.0.1>\r\nCall-ID: flood%d\r\nCSeq: 1 MESSAGE\r\n"+
			"Content-Length: %d\r\n\r\n%s", flood.Addr, i, i, size, body)))
		flood.request("OPTIONS", "sip:127.0.0.1") // is answered when the MESSAGE has been seen to
		for {
			m := flood.Receive()
			if strings.HasPrefix(m.Text, "SIP/2.0 480 ") && m.Header("Retry-After") != "" {
				refused++
			} else if strings.HasPrefix(m.Text, "SIP/2.0 200 ") {
				break
			} else {
				t.Fatalf("the sender is told:\n%s", m.Text)
			}
		}
	}
	other.request("MESSAGE", "sip:bob@127.0.0.1")
	p.say("REGISTER", "bob", 2)

	// The phone reads all that there is for it.
	flooded, answered := 0, -1
	for {
		first, h := p.next()
		if first == "SIP/2.0 200 OK" {
			answered = flooded
			continue
		}
		if !strings.Contains(h.Get("From"), "flood@") {
			break
		}
		flooded++
	}
	// A few hundred kilobytes wait here and in the kernel. Without bounds the kernel alone takes
	// megabytes.
	if flooded+refused != n || flooded > 12 {
		t.Errorf("%d of %d were refused, %d arrived", refused, n, flooded)
	}
	if answered < 0 || answered == flooded && flooded > 8 {
		t.Errorf("the phone was answered after %d of %d", answered, flooded)
	}
	other.request("OPTIONS", "sip:bob@127.0.0.1")
	if first, _ := p.next(); !strings.HasPrefix(first, "OPTIONS ") {
		t.Errorf("the phone gets %q", first)
	}
	eventually(t, "nothing to be queued", func() bool { return inside.AppOf(s.App()).Engine.Budget.Used(budget.Queues) == 0 })
}

// TestSlowReaders opens connections that request long responses and read none: the memory that they
// take is bounded, and others are served.
func TestSlowReaders(t *testing.T) {
	const n = 200
	s := handlertest.Start(t, "register\nproxy")
	b := inside.AppOf(s.App()).Engine.Budget
	long := []byte("OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bKlong\r\nMax-Forwards: 70\r\n" +
		"From: <sip:a@127.0.0.1>;tag=f\r\nTo: <sip:127.0.0.1>\r\nCall-ID: " + strings.Repeat("c", 60_000) + "\r\nCSeq: 1 OPTIONS\r\n" +
		"Content-Length: 0\r\n\r\n")
	var conns []net.Conn
	for range n {
		c, err := net.Dial("tcp", s.Addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
		conns = append(conns, c)
	}
	most := int64(0)
	alice := tcp(t, s, "alice")
	for range 20 {
		for _, c := range conns { // as much as goes without waiting
			_ = c.SetWriteDeadline(time.Now().Add(time.Millisecond))
			_, _ = c.Write(long)
		}
		alice.request("OPTIONS", "sip:127.0.0.1")
		alice.Expect("SIP/2.0 200")
		most = max(most, b.Used(budget.Queues)+b.Used(budget.Connections))
	}
	if most > 16<<20+n*20<<10 {
		t.Errorf("%d connections hold %d bytes", n, most)
	}
	alice.request("OPTIONS", "sip:127.0.0.1", "Call-ID: "+strings.Repeat("c", 3000))
	alice.Expect("SIP/2.0 200")
	for _, c := range conns {
		c.Close()
	}
	alice.Close()
	eventually(t, "all to be given back", func() bool { return b.Used(budget.Queues)+b.Used(budget.Connections) == 0 })
}
