package transport

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// moves is a port that goes from all addresses to one, and back.
type moves struct {
	t    *testing.T
	m    *Manager
	n    Network
	port uint16
	open []*Listener
}

// to opens a listener beside those that are open.
func (v *moves) to(host string) *Listener {
	v.t.Helper()
	addr := netip.AddrPortFrom(netip.MustParseAddr(host), v.port)
	if len(v.open) > 0 {
		if _, err := v.m.Listen(v.n, addr); err == nil || !strings.Contains(err.Error(), "overlaps with") {
			v.t.Fatalf("without saying that the others are leaving: %v", err)
		}
	}
	l, err := v.m.Listen(v.n, addr, v.open...)
	if err != nil {
		v.t.Fatal(err)
	}
	v.open = append(v.open, l)
	v.port = l.Addr().Port()
	return l
}

func (v *moves) close(l *Listener) {
	v.t.Helper()
	v.open = slices.DeleteFunc(v.open, func(o *Listener) bool { return o == l })
	if err := l.Close(); err != nil {
		v.t.Error(err)
	}
}

// testMove moves a listener while clients ask without a pause, and each gets each answer. ask is
// one round of one client.
func testMove(t *testing.T, network Network, client func(target netip.AddrPort) (ask func() error)) {
	for _, all := range []string{"0.0.0.0", "::"} {
		m := start(t, funcs{message: echo}, Options{})
		v := &moves{t: t, m: m, n: network}
		wildcard := v.to(all)
		done := make(chan struct{})
		var clients sync.WaitGroup
		const n = 4
		rounds := make(chan int) // of which client
		for i := range n {
			ask := client(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), v.port))
			clients.Go(func() {
				for {
					if err := ask(); err != nil {
						t.Errorf("%s: %v", all, err)
						return
					}
					select {
					case <-done:
						return
					case rounds <- i:
					}
				}
			})
		}
		// turn returns when each client has had all answers of a round that began after the call.
		turn := func() {
			var done [n]int
			for slices.Min(done[:]) < 2 {
				done[wait(t, rounds, "answers")]++
			}
		}
		turn()
		v.to("127.0.0.1")
		turn() // what the wildcard had got is answered
		v.close(wildcard)
		for range 10 {
			wildcard = v.to(all)
			turn()
			v.close(wildcard)
		}
		close(done)
		clients.Wait()
	}
}

func TestMoveUDP(t *testing.T) {
	testMove(t, UDP, func(target netip.AddrPort) func() error {
		c := client(t, "127.0.0.1:0")
		buf := make([]byte, 1000)
		return func() error {
			const window = 20
			for range window {
				if _, err := c.WriteToUDPAddrPort([]byte(msg("a", 0)), target); err != nil {
					return err
				}
			}
			for range window {
				if _, from, err := c.ReadFromUDPAddrPort(buf); err != nil || canonical(from) != target {
					return fmt.Errorf("from %s: %w", from, err)
				}
			}
			return nil
		}
	})
}

func TestMoveTCP(t *testing.T) {
	testMove(t, TCP, func(target netip.AddrPort) func() error {
		return func() error {
			c, err := net.DialTimeout("tcp", target.String(), patience)
			if err != nil {
				return err
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(patience))
			text := msg("a", 0)
			if _, err = io.WriteString(c, text); err == nil {
				_, err = io.ReadFull(c, make([]byte, len(text)))
			}
			return err
		}
	})
}

// TestSendAfterMove sends by a listener that is closed, as those do who began when it was open.
func TestSendAfterMove(t *testing.T) {
	m := start(t, funcs{}, Options{})
	v := &moves{t: t, m: m, n: UDP}
	wildcard := v.to("0.0.0.0")
	c := client(t, "127.0.0.1:0")
	flow := wildcard.Flow(c.LocalAddr().(*net.UDPAddr).AddrPort())
	one := v.to("127.0.0.1")
	v.close(wildcard)
	if err := flow.Send([]byte("still")); err != nil {
		t.Error(err)
	}
	if got, from := receiveFrom(t, c); got != "still" || from != one.Addr() {
		t.Errorf("got %q from %s", got, from)
	}
	v.close(one)
	if err := flow.Send([]byte("nowhere")); err != ErrClosed {
		t.Errorf("without a listener: %v", err)
	}
}

// TestCloseOrphans closes the connections that no listener has the address of.
func TestCloseOrphans(t *testing.T) {
	m := start(t, funcs{message: echo}, Options{})
	v := &moves{t: t, m: m, n: TCP}
	wildcard := v.to("::")
	dial := func(host string) net.Conn {
		c, err := net.Dial("tcp", netip.AddrPortFrom(netip.MustParseAddr(host), v.port).String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(patience))
		echoed(t, c)
		return c
	}
	stays, orphan := dial("127.0.0.1"), dial("127.0.0.2")
	m.CloseOrphans()
	v.to("127.0.0.1")
	v.close(wildcard)
	echoed(t, orphan)
	m.CloseOrphans()
	if n, err := orphan.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read %d, %v", n, err)
	}
	echoed(t, stays)
}

func echoed(t *testing.T, c net.Conn) {
	t.Helper()
	text := msg("a", 0)
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, len(text))); err != nil {
		t.Fatal(err)
	}
}
