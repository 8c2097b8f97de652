package simtest

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	_ "github.com/caddysip/caddysip"
	"github.com/caddysip/caddysip/test/simnet"
)

func ask(t *testing.T, c *simnet.UDPConn, to netip.AddrPort, text string) string {
	t.Helper()
	if err := c.WriteDatagram([]byte(strings.ReplaceAll(text, "\n", "\r\n")), to, netip.AddrPort{}); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(time.Second))
	buf := make([]byte, 4096)
	n, _, _, err := c.ReadDatagram(buf)
	if err != nil {
		return err.Error()
	}
	return string(buf[:n])
}

const register = `REGISTER sip:192.0.2.10 SIP/2.0
Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1
From: <sip:101@192.0.2.10>;tag=1
To: <sip:101@192.0.2.10>
Call-ID: 1
CSeq: 1 REGISTER
Contact: <sip:101@192.0.2.1:5060>
Expires: 600
Content-Length: 0

`

func TestServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(1)
		n.SetPaths(simnet.Path{Delay: 5 * time.Millisecond})
		s := Start(t, n.Host("192.0.2.10"), "register\nproxy")
		c, err := n.Host("192.0.2.1").ListenUDP(netip.MustParseAddrPort("192.0.2.1:5060"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if got := ask(t, c, s.Addr, register); !strings.HasPrefix(got, "SIP/2.0 200") {
			t.Errorf("REGISTER: %s", got)
		}
		time.Sleep(time.Second)
		s.Kill()
		time.Sleep(time.Second)
		if err := s.Run(); err != nil {
			t.Fatal(err)
		}
		if _, n := s.Engine().Location.Len(); n != 1 {
			t.Errorf("%d bindings after a power cut", n)
		}
		if err := s.Reload(); err != nil {
			t.Fatal(err)
		}
		if status, answer := s.Admin("GET", "/sip/registrations/101", ""); status != 200 || !strings.Contains(answer, "192.0.2.1:5060") {
			t.Errorf("%d %s", status, answer)
		}
		time.Sleep(20 * time.Minute)
		users, bindings := s.Engine().Location.Len()
		if held := s.Held(); users != 0 || bindings != 0 || held > 24 { // that there was such a user is remembered
			t.Errorf("%d users with %d bindings and %d bytes are left", users, bindings, held)
		}
	})
}
