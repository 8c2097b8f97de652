package transport_test

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/test/simnet"
)

// dialer is a server on a network in memory, whose dials are counted. To 192.0.2.9 none ever ends.
type dialer struct {
	*transport.Manager
	peer  *simnet.Host
	dials map[netip.AddrPort]int
}

func newDialer(t *testing.T) *dialer {
	t.Helper()
	n := simnet.New(1)
	server := n.Host("192.0.2.1")
	d := &dialer{peer: n.Host("192.0.2.2"), dials: make(map[netip.AddrPort]int)}
	n.Host("192.0.2.9")
	n.SetPath(netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.9"), simnet.Path{Down: true})
	n.Tap(func(p simnet.Packet) {
		if p.TCP && len(p.Data) == 0 && p.From.Addr().String() == "192.0.2.1" {
			d.dials[p.To]++
		}
	})
	d.Manager = transport.NewManager(new(echo), transport.Options{Net: server})
	return d
}

func at(host string, port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(host), uint16(port))
}

// pass lets time pass, and waits for what happens at its end.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// try asks for a connection. It returns an error only if there is one at once.
func (d *dialer) try(who string, to netip.AddrPort, done func(error)) error {
	if done == nil {
		done = func(error) {}
	}
	_, err, now := d.DialFor(who, transport.TCP, to, func(_ transport.Flow, err error) { done(err) })
	if now {
		return err
	}
	return nil
}

// TestDialShares has one user dial what never answers. What he may not have is refused at once,
// others are not affected, and who waits costs no goroutine.
func TestDialShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDialer(t)
		defer d.Close()
		count := func(who string, to func(i int) netip.AddrPort) (n int) {
			for ; n < 2000; n++ {
				if err := d.try(who, to(n), nil); err != nil {
					if !errors.Is(err, transport.ErrBusy) {
						t.Error(err)
					}
					return n
				}
			}
			return n
		}
		hole := at("192.0.2.9", 1)
		before := runtime.NumGoroutine()
		same := func(int) netip.AddrPort { return hole }
		for _, test := range []struct {
			who  string
			want int
		}{{"a", 64}, {"b", 64}, {"c", 64}, {"d", 64}, {"e", 0}} {
			if n := count(test.who, same); n != test.want {
				t.Errorf("%d of %s wait for one destination, want %d", n, test.who, test.want)
			}
		}
		if n := runtime.NumGoroutine() - before; n > 2 {
			t.Errorf("%d goroutines for 256 who wait", n)
		}
		if n := count("e", func(i int) netip.AddrPort { return at("192.0.2.9", 100+i) }); n != 16 {
			t.Errorf("one user has %d dials", n)
		}
		// Another user gets through.
		if _, err := d.peer.Listen(at("192.0.2.2", 5060)); err != nil {
			t.Fatal(err)
		}
		connected := false
		if err := d.try("f", at("192.0.2.2", 5060), func(err error) { connected = err == nil }); err != nil {
			t.Error(err)
		}
		pass(time.Second)
		if !connected {
			t.Error("another user's dial has to wait")
		}
		pass(15 * time.Second) // now those have failed
		if n := count("a", same); n != 64 {
			t.Errorf("%d may wait after that", n)
		}
	})
}

// TestDialFailsFast has a destination that refuses connections. It is tried again after a second,
// and then more seldom.
func TestDialFailsFast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDialer(t)
		defer d.Close()
		to := at("192.0.2.2", 5060)
		failed := 0
		for range 600 { // a minute
			if err := d.try("", to, func(error) { failed++ }); err != nil {
				failed++
			}
			pass(100*time.Millisecond + time.Microsecond)
		}
		if failed != 600 || d.dials[to] < 5 || d.dials[to] > 10 {
			t.Errorf("%d of 600 have failed, and %d dials were made", failed, d.dials[to])
		}
		if _, err := d.peer.Listen(to); err != nil {
			t.Fatal(err)
		}
		pass(10 * time.Second)
		if _, err := d.Dial(t.Context(), transport.TCP, to); err != nil {
			t.Errorf("when it is there again: %v", err)
		}
	})
}

// TestDialedConnections has one user make as many connections as a user may have. They are closed
// when nobody uses them.
func TestDialedConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDialer(t)
		defer d.Close()
		const first = 1000
		var mu sync.Mutex
		var flows []transport.Flow
		for i := range 70 {
			to := at("192.0.2.2", first+i)
			if _, err := d.peer.Listen(to); err != nil {
				t.Fatal(err)
			}
			_, err, _ := d.DialFor("greedy", transport.TCP, to, func(f transport.Flow, err error) {
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					flows = append(flows, f)
				case !errors.Is(err, transport.ErrLimit):
					t.Error(err)
				}
			})
			if err != nil {
				t.Error(err)
			}
			pass(time.Millisecond)
		}
		mu.Lock() // nobody dials any more
		defer mu.Unlock()
		if len(flows) != 64 || len(d.Conns()) != 64 {
			t.Fatalf("one user has made %d connections, there are %d", len(flows), len(d.Conns()))
		}
		if _, err := d.Dial(t.Context(), transport.TCP, at("192.0.2.2", first+69)); err != nil {
			t.Errorf("somebody else: %v", err)
		}
		for range 6 { // half an hour, in which one is used
			if err := flows[7].Send([]byte(ping)); err != nil {
				t.Fatal(fmt.Errorf("the one that is used: %w", err))
			}
			pass(5 * time.Minute)
			synctest.Wait()
		}
		if conns := d.Conns(); len(conns) != 1 || conns[0].Flow() != flows[7] {
			t.Errorf("%d connections are left", len(conns))
		}
		if err := d.try("greedy", at("192.0.2.2", first+69), nil); err != nil {
			t.Errorf("there is room again: %v", err)
		}
		pass(time.Millisecond)
		if len(d.Conns()) != 2 {
			t.Error("there is no room again")
		}
	})
}
