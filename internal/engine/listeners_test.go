package engine

import (
	"net/netip"
	"testing"
	"time"

	"github.com/caddysip/caddysip/internal/sip/transport"
)

// closed waits until only so many listeners are open.
func closed(t *testing.T, e *Engine, want int) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for len(e.Transport.Listeners()) != want {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%d listeners are open, want %d", len(e.Transport.Listeners()), want)
		}
	}
}

// TestGracePeriod removes a listener, and takes it back in time and too late.
func TestGracePeriod(t *testing.T) {
	e := New()
	defer e.Destruct()
	a, b := freeAddr(t), freeAddr(t)
	text := rport.Replace(invite)
	one := generation("one", a, b)
	attach(t, e, one)
	two := generation("two", a)
	attach(t, e, two)
	e.Detach(one)
	d := dial(t, b)
	d.want(text, "SIP/2.0 200 one")

	three := generation("three", a, b)
	attach(t, e, three)
	e.Detach(two)
	if three.Listeners[1] != one.Listeners[1] {
		t.Error("the listener was there, and another was opened")
	}
	d.want(text, "SIP/2.0 200 three")
	e.mu.Lock()
	if l := e.listeners[three.Listen[1]]; l.timer != nil || l.last != nil {
		t.Error("the listener is wanted, and about to be closed")
	}
	e.mu.Unlock()

	four := generation("four", a)
	four.Grace = time.Millisecond
	attach(t, e, four)
	e.Detach(three)
	closed(t, e, 1)
	e.mu.Lock()
	wantOpen(t, e, 1)
	e.mu.Unlock()
	five := generation("five", a, b)
	attach(t, e, five)
	e.Detach(four)
	d = dial(t, b)
	d.want(text, "SIP/2.0 200 five")
	wantOpen(t, e, 2)
}

// TestMove moves a listener to all addresses and back. The one that was there first stays open, as
// closing it could lose what has just come.
func TestMove(t *testing.T) {
	e := New()
	defer e.Destruct()
	a := freeAddr(t)
	all := netip.AddrPortFrom(netip.IPv4Unspecified(), a.Port())
	text := rport.Replace(invite)
	at := func(name string, addr netip.AddrPort, before *Generation) *Generation {
		t.Helper()
		g := generation(name, addr)
		g.Grace = time.Millisecond
		attach(t, e, g)
		if before != nil {
			e.Detach(before)
		}
		return g
	}
	one := at("one", a, nil)
	c := dial(t, a)
	c.want(text, "SIP/2.0 200 one")
	two := at("two", all, one)
	wantOpen(t, e, 2)
	dial(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), a.Port())).want(text, "SIP/2.0 200 two")
	e.mu.Lock()
	covered := e.covered(Address{transport.UDP, a}) && !e.covered(Address{transport.TCP, a}) && !e.covered(Address{transport.UDP, freeAddr(t)})
	e.mu.Unlock()
	if !covered {
		t.Error("which addresses are covered?")
	}
	three := at("three", a, two)
	if three.Listeners[0] != one.Listeners[0] {
		t.Error("another listener was opened at the same address")
	}
	c.want(text, "SIP/2.0 200 three")
	closed(t, e, 1) // of the two the one on all addresses goes
	c.want(text, "SIP/2.0 200 three")
	e.Detach(three)
	closed(t, e, 0)
}
