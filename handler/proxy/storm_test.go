package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/caddysip/caddysip/handler/handlertest"
)

// TestStorm has many calls to two phones at once, some of them cancelled: every INVITE must get one
// kind of final response, and the race detector something to look at.
func TestStorm(t *testing.T) {
	s := handlertest.Start(t, "register\nproxy")
	var phones, callers sync.WaitGroup
	for i := range 2 {
		c := listen(t)
		registerFrom(t, c, s, "bob", i)
		phones.Go(func() { answerAll(c, i) })
		t.Cleanup(func() {
			c.Close()
			if i == 0 { // the last one that is closed
				phones.Wait()
			}
		})
	}
	for i := range 4 {
		c := listen(t)
		defer c.Close()
		callers.Go(func() {
			for n := range 50 {
				if err := stormCall(c, s, fmt.Sprintf("%d-%d", i, n), n%3 == 0); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	callers.Wait()
}

// registerFrom registers a user at a socket.
func registerFrom(t *testing.T, c net.PacketConn, s *handlertest.Server, user string, id int) {
	t.Helper()
	text := fmt.Appendf(nil, "REGISTER sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP %[1]s;branch=z9hG4bKreg%[3]d\r\n"+
		"Max-Forwards: 70\r\nFrom: <sip:%[2]s@127.0.0.1>;tag=r\r\nTo: <sip:%[2]s@127.0.0.1>\r\nCall-ID: reg%[3]d\r\n"+
		"CSeq: 1 REGISTER\r\nContact: <sip:%[2]s@%[1]s>\r\nContent-Length: 0\r\n\r\n", c.LocalAddr(), user, id)
	if _, err := c.WriteTo(text, net.UDPAddrFromAddrPort(s.Addr)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<16)
	if n, _, err := c.ReadFrom(buf); err != nil || !bytes.HasPrefix(buf[:n], []byte("SIP/2.0 200 ")) {
		t.Fatalf("%v\n%s", err, buf[:n])
	}
}

func listen(t *testing.T) net.PacketConn {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// stormCall calls, maybe cancels, and waits for the final response to the INVITE.
func stormCall(c net.PacketConn, s *handlertest.Server, id string, cancel bool) error {
	server := net.UDPAddrFromAddrPort(s.Addr)
	send := func(method, to, more string) error {
		_, err := c.WriteTo(fmt.Appendf(nil, "%s sip:bob@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%s;rport\r\nMax-Forwards: 70\r\n"+
			"From: <sip:a@127.0.0.1>;tag=a\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: 1 %s\r\nContact: <sip:a@%s>\r\n%sContent-Length: 0\r\n\r\n",
			method, c.LocalAddr(), id, to, id, method, c.LocalAddr(), more), server)
		return err
	}
	subject := "Subject: call\r\n"
	if cancel {
		subject = "Subject: cancel\r\n"
	}
	if err := send("INVITE", "<sip:bob@127.0.0.1>", subject); err != nil {
		return err
	}
	buf := make([]byte, 1<<16)
	for deadline := time.Now().Add(20 * time.Second); ; {
		if err := c.SetReadDeadline(deadline); err != nil {
			return err
		}
		n, _, err := c.ReadFrom(buf)
		if err != nil {
			return fmt.Errorf("call %s: %w", id, err)
		}
		m := handlertest.Message{Text: string(buf[:n])}
		switch {
		case m.Header("Call-ID") != id || m.Header("CSeq") != "1 INVITE":
		case m.Line() == "SIP/2.0 100 Trying":
			if cancel {
				err = send("CANCEL", "<sip:bob@127.0.0.1>", "")
			}
		case m.Line() == "SIP/2.0 200 OK":
			return send("ACK", m.Header("To"), "Route: "+m.Header("Record-Route")+"\r\n")
		case m.Line() == "SIP/2.0 486 Busy Here", m.Line() == "SIP/2.0 487 Request Terminated":
			return send("ACK", m.Header("To"), "")
		case m.Line() != "SIP/2.0 180 Ringing":
			return errors.New(m.Text)
		}
		if err != nil {
			return err
		}
	}
}

// answerAll is a phone that rings, is picked up or is busy, and obeys CANCEL, until its socket is
// closed.
func answerAll(c net.PacketConn, seed int) {
	buf := make([]byte, 1<<16)
	invites := make(map[string]handlertest.Message)
	for n := seed; ; n++ {
		size, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		m := handlertest.Message{Text: string(buf[:size])}
		answer := func(m handlertest.Message, status string) {
			var b bytes.Buffer
			fmt.Fprintf(&b, "SIP/2.0 %s\r\n", status)
			for _, name := range []string{"Via", "Record-Route", "From", "To", "Call-ID", "CSeq"} {
				for _, v := range m.Headers(name) {
					if name == "To" {
						v += ";tag=b"
					}
					fmt.Fprintf(&b, "%s: %s\r\n", name, v)
				}
			}
			fmt.Fprintf(&b, "Contact: <sip:bob@%s>\r\nContent-Length: 0\r\n\r\n", c.LocalAddr())
			if _, err := c.WriteTo(b.Bytes(), from); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
				return
			}
		}
		key := m.Header("Via")
		switch m.Header("CSeq") {
		case "1 INVITE":
			if _, again := invites[key]; again {
				continue
			}
			invites[key] = m
			answer(m, "180 Ringing")
			// A call that is going to be cancelled rings most times until then, and is picked up
			// now and then.
			switch {
			case n%4 == 0:
				answer(m, "200 OK")
			case m.Header("Subject") == "call":
				answer(m, "486 Busy Here")
			}
		case "1 CANCEL":
			answer(m, "200 OK")
			answer(invites[key], "487 Request Terminated")
		}
	}
}
