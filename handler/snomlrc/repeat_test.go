package snomlrc_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	_ "github.com/caddysip/caddysip"
	"github.com/caddysip/caddysip/test/simnet"
	"github.com/caddysip/caddysip/test/simtest"
)

const (
	registration = `REGISTER sip:192.0.2.10 SIP/2.0
Via: SIP/2.0/TRANSPORT 192.0.2.1:5060;branch=z9hG4bKregister
From: <sip:alice@192.0.2.10>;tag=1
To: <sip:alice@192.0.2.10>
Call-ID: register
CSeq: 1 REGISTER
Contact: <sip:alice@192.0.2.1:5060>
Content-Length: 0

`
	call = `INVITE sip:431@192.0.2.10 SIP/2.0
Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKinvite;rport
Max-Forwards: 70
From: <sip:alice@192.0.2.10>;tag=2
To: <sip:431@192.0.2.10>
Call-ID: invite
CSeq: 1 INVITE
Contact: <sip:alice@192.0.2.1:5060>
User-Agent: snomD785
Content-Length: 0

`
)

// TestRepetitions counts how often a MESSAGE that nobody answers is sent: as often as RFC 3261 §17.1.2.2
// says to where the caller is registered, and a few times to where somebody may have only said that he is.
func TestRepetitions(t *testing.T) {
	for _, test := range []struct {
		name      string
		transport string // of the registration; the call is by UDP
		from      string // of the call
		want      int
	}{
		{"where he is registered", "UDP", "192.0.2.1:5060", 11},
		{"another port", "UDP", "192.0.2.1:5070", 4},
		{"another host", "UDP", "192.0.2.2:5060", 4},
		{"another transport", "TCP", "192.0.2.1:5060", 4},
		{"not registered", "", "192.0.2.1:5060", 4},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := simnet.New(1)
				s := simtest.Start(t, n.Host("192.0.2.10"), "snom_lrc\nregister")
				home := n.Host("192.0.2.1")
				text := strings.ReplaceAll(strings.Replace(registration, "TRANSPORT", test.transport, 1), "\n", "\r\n")
				switch test.transport {
				case "UDP":
					c := listen(t, home, "192.0.2.1:5060")
					write(t, c, text, s.Addr)
					synctest.Wait()
					c.Close()
				case "TCP":
					c, err := home.DialFrom(context.Background(), netip.MustParseAddrPort("192.0.2.1:5060"), s.Addr)
					if err != nil {
						t.Fatal(err)
					}
					defer c.Close()
					if _, err := c.Write([]byte(text)); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(time.Second)
				if _, n := s.Engine().Location.Len(); n != min(1, len(test.transport)) {
					t.Fatalf("there are %d bindings", n)
				}

				from := netip.MustParseAddrPort(test.from)
				host := home
				if from.Addr() != home.Addr() {
					host = n.Host(from.Addr().String())
				}
				c := listen(t, host, test.from)
				defer c.Close()
				write(t, c, strings.ReplaceAll(call, "\n", "\r\n"), s.Addr)
				_ = c.SetReadDeadline(time.Now().Add(time.Minute))
				got := 0
				buf := make([]byte, 4096)
				for {
					n, _, _, err := c.ReadDatagram(buf)
					if e, ok := err.(net.Error); ok && e.Timeout() {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
					if strings.HasPrefix(string(buf[:n]), "MESSAGE ") {
						got++
					}
				}
				if got != test.want {
					t.Errorf("the MESSAGE came %d times, want %d", got, test.want)
				}
			})
		})
	}
}

func listen(t *testing.T, host *simnet.Host, addr string) *simnet.UDPConn {
	t.Helper()
	c, err := host.ListenUDP(netip.MustParseAddrPort(addr))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func write(t *testing.T, c *simnet.UDPConn, text string, to netip.AddrPort) {
	t.Helper()
	if err := c.WriteDatagram([]byte(text), to, netip.AddrPort{}); err != nil {
		t.Fatal(err)
	}
}
