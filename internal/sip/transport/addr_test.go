package transport

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestNetwork(t *testing.T) {
	for n, want := range map[Network][2]string{
		UDP: {"udp", "UDP"}, TCP: {"tcp", "TCP"}, TLS: {"tls", "TLS"}, WS: {"ws", "WS"}, WSS: {"wss", "WSS"}, 9: {"network(9)", "network(9)"},
	} {
		if n.String() != want[0] || n.Token() != want[1] || n.Reliable() != (n != UDP) {
			t.Errorf("%d: %s, %s, %v", n, n, n.Token(), n.Reliable())
		}
	}
}

func TestCanonical(t *testing.T) {
	ifaces, err := net.Interfaces()
	if err != nil || len(ifaces) == 0 {
		t.Fatalf("no network interface: %v", err)
	}
	byNumber := withScope(netip.MustParseAddr("fe80::1"), uint32(ifaces[0].Index))
	for in, want := range map[string]string{
		"192.0.2.1":                  "192.0.2.1",
		"::ffff:192.0.2.1":           "192.0.2.1",
		"2001:db8::1":                "2001:db8::1",
		"fe80::1%" + ifaces[0].Name:  byNumber.String(),
		"fe80::1%7":                  "fe80::1%7",
		"fe80::1%no-such-interface!": "fe80::1%no-such-interface!",
	} {
		if got := canonical(netip.AddrPortFrom(netip.MustParseAddr(in), 5060)); got.Addr().String() != want || got.Port() != 5060 {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	if scopeOf(byNumber) != uint32(ifaces[0].Index) || scopeOf(netip.MustParseAddr("2001:db8::1")) != 0 {
		t.Error("the scope is lost")
	}
}

// TestRoutesBounded sees that many peers don't make the memory of routes grow without end, and that
// routes are asked for anew.
func TestRoutesBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loopback, other := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.1")
		r := routes{known: make(map[netip.Addr]route)}
		r.known[loopback] = route{other, time.Now().Add(routeLife)}
		if got := r.local(loopback, lookupRoute); got != other {
			t.Errorf("%s is not from memory", got)
		}
		<-time.After(routeLife)
		if got := r.local(loopback, lookupRoute); got != loopback {
			t.Errorf("%s is out of date", got)
		}
		r.known[loopback] = route{other, time.Now().Add(routeLife)}
		r.forget(loopback)
		if got := r.local(loopback, lookupRoute); got != loopback {
			t.Errorf("%s was to be forgotten", got)
		}
		for ip := netip.MustParseAddr("10.0.0.0"); len(r.known) < maxRoutes; ip = ip.Next() {
			r.known[ip] = route{}
		}
		r.local(netip.MustParseAddr("127.0.0.9"), lookupRoute)
		if len(r.known) > maxRoutes {
			t.Errorf("%d routes", len(r.known))
		}
	})
}

// failing is a listener that fails and then is closed.
type failing struct {
	net.Listener
	left int
}

func (f *failing) Accept() (net.Conn, error) {
	if f.left--; f.left < 0 {
		return nil, net.ErrClosed
	}
	return nil, errors.New("too many open files")
}

func TestAcceptGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.WarnLevel)
		m := NewManager(funcs{}, Options{Logger: zap.New(core)})
		l := &Listener{m: m, tcp: &failing{left: 12}, closed: make(chan struct{})}
		begin := time.Now()
		l.accept()
		// 5 ms doubled up to 1 s: 8 of them make 1,275 ms, then four seconds.
		if took := time.Since(begin); took != 5275*time.Millisecond {
			t.Errorf("took %v", took)
		}
		// One line at the start, then one a second at most, which tells of the others.
		if n := logs.Len(); n < 2 || n > 6 {
			t.Errorf("%d lines", n)
		}
		if n := logs.FilterField(zap.Uint64("suppressed", 7)).Len(); n != 1 {
			t.Errorf("the suppressed lines are not told of: %v", logs.All())
		}
		// Closing ends a wait.
		l.tcp = &failing{left: 1 << 30}
		go l.accept()
		synctest.Wait()
		close(l.closed)
		m.Close()
	})
}
