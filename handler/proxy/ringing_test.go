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
