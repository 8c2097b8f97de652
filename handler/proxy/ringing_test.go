package proxy_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	_ "github.com/caddysip/caddysip"
	"github.com/caddysip/caddysip/test/simnet"
	"github.com/caddysip/caddysip/test/simtest"
	"github.com/caddysip/caddysip/wire"
)

// TestTimerCAnew has a phone ring for longer than timer C: each provisional response but 100 starts it
// anew (RFC 3261 §16.7 step 2), and the call is given up after the last.
func TestTimerCAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(1)
		s := simtest.Start(t, n.Host("192.0.2.10"), "register\nproxy")
		alice, bob := listen(t, n, "192.0.2.1:5060"), listen(t, n, "192.0.2.2:5060")
		request := func(method, user, id string) string {
			return strings.ReplaceAll(fmt.Sprintf("%s sip:%s SIP/2.0\nVia: SIP/2.0/UDP phone;branch=z9hG4bK%s;rport\nFrom: <sip:%s@192.0.2.10>;tag=1\n"+
				"To: <sip:%s>\nCall-ID: %s\nCSeq: 1 %s\nMax-Forwards: 70\nContact: <sip:%s@192.0.2.2>\n\n", method, "bob@192.0.2.10", id, user,
				"bob@192.0.2.10", id, method, user), "\n", "\r\n")
		}
		write(t, bob, s.Addr, []byte(request("REGISTER", "bob", "register")))
		expect(t, bob, "SIP/2.0 200")
		write(t, alice, s.Addr, []byte(request("INVITE", "alice", "call")))
		expect(t, alice, "SIP/2.0 100")
		var invite wire.Message
		if err := invite.Parse([]byte(expect(t, bob, "INVITE "))); err != nil {
			t.Fatal(err)
		}
		answer := func(status int) {
			write(t, bob, s.Addr, invite.AppendResponse(nil, status, "x", s.Addr, &wire.ResponseOptions{ToTag: []byte("b")}))
		}
		for range 4 {
			answer(180)
			expect(t, alice, "SIP/2.0 180")
			time.Sleep(100 * time.Second)
		}
		answer(183)
		expect(t, alice, "SIP/2.0 183")
		begin := time.Now()
		time.Sleep(100 * time.Second)
		answer(100) // which says nothing
		expect(t, bob, "CANCEL ")
		if took := time.Since(begin).Round(time.Second); took != 185*time.Second {
			t.Errorf("cancelled after %v", took)
		}
	})
}

// TestNoResponse calls a user of whose phones one says nothing: the next rings when no_response is
// over. The one that has said 100 by then has as long as any other.
func TestNoResponse(t *testing.T) {
	for _, says := range []int{0, 100} {
		synctest.Test(t, func(t *testing.T) {
			n := simnet.New(1)
			s := simtest.Start(t, n.Host("192.0.2.10"), "register\nproxy")
			alice := listen(t, n, "192.0.2.1:5060")
			phones := []*simnet.UDPConn{listen(t, n, "192.0.2.2:5060"), listen(t, n, "192.0.2.3:5060")}
			request := func(method, user, contact string) string {
				id := user + contact[len(contact)-1:]
				return strings.ReplaceAll(fmt.Sprintf("%s sip:bob@192.0.2.10 SIP/2.0\nVia: SIP/2.0/UDP phone;branch=z9hG4bK%s;rport\n"+
					"From: <sip:%s@192.0.2.10>;tag=1\nTo: <sip:bob@192.0.2.10>\nCall-ID: %s\nCSeq: 1 %s\nMax-Forwards: 70\nContact: %s\n\n",
					method, id, user, id, method, contact), "\n", "\r\n")
			}
			for i, p := range phones {
				write(t, p, s.Addr, []byte(request("REGISTER", "bob", fmt.Sprintf("<sip:bob@192.0.2.%d>;q=0.%d", 2+i, 9-i))))
				expect(t, p, "SIP/2.0 200")
			}
			write(t, alice, s.Addr, []byte(request("INVITE", "alice", "<sip:alice@192.0.2.1>;x=1")))
			expect(t, alice, "SIP/2.0 100")
			begin := time.Now()
			var invite wire.Message
			if err := invite.Parse([]byte(expect(t, phones[0], "INVITE "))); err != nil {
				t.Fatal(err)
			}
			answer := func(status int) {
				write(t, phones[0], s.Addr, invite.AppendResponse(nil, status, "x", s.Addr, &wire.ResponseOptions{ToTag: []byte("b")}))
			}
			want := 5 * time.Second
			if says > 0 {
				time.Sleep(4900 * time.Millisecond)
				answer(says)
				want += 185*time.Second - 100*time.Millisecond // since the 100
			}
			if says == 0 {
				expect(t, phones[1], "INVITE ")
				answer(180) // late
			}
			for m := ""; !strings.HasPrefix(m, "CANCEL "); {
				m = expect(t, phones[0], "") // the INVITE again
			}
			if says > 0 {
				answer(487)
				expect(t, phones[1], "INVITE ")
			}
			if took := time.Since(begin).Round(100 * time.Millisecond); took != want {
				t.Errorf("it says %d: the next phone rings after %v, not %v", says, took, want)
			}
		})
	}
}

func listen(t *testing.T, n *simnet.Net, addr string) *simnet.UDPConn {
	t.Helper()
	ap := netip.MustParseAddrPort(addr)
	c, err := n.Host(ap.Addr().String()).ListenUDP(ap)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func write(t *testing.T, c *simnet.UDPConn, to netip.AddrPort, message []byte) {
	t.Helper()
	if err := c.WriteDatagram(message, to, netip.AddrPort{}); err != nil {
		t.Fatal(err)
	}
}

// expect returns the next message, which must begin like that.
func expect(t *testing.T, c *simnet.UDPConn, start string) string {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Minute))
	buf := make([]byte, 1<<16)
	n, _, _, err := c.ReadDatagram(buf)
	if err != nil || !strings.HasPrefix(string(buf[:n]), start) {
		t.Fatalf("%v, got\n%s\nwant %s", err, buf[:n], start)
	}
	return string(buf[:n])
}
