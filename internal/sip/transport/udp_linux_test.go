package transport

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestUDPSource sends to an address that the kernel would not choose to answer from.
func TestUDPSource(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", "[::]:0"} {
		locals := make(chan netip.AddrPort, 1)
		m := start(t, funcs{message: func(in *Inbound) {
			locals <- in.Flow.Local
			echo(in)
			in.Flow.Send([]byte("at once"))
		}}, Options{})
		l := listen(t, m, UDP, addr)
		c := client(t, "127.0.0.1:0")
		to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), l.Addr().Port())
		sendTo(t, c, to, msg("a", 0))
		if local := wait(t, locals, "the message"); local != to {
			t.Errorf("%s: local %s, want %s", addr, local, to)
		}
		for range 2 {
			if got, from := receiveFrom(t, c); from != to {
				t.Errorf("%s: got %q from %s, want it from %s", addr, got, from, to)
			}
		}
	}
}

// TestNoBroadcast has the kernel refuse what would go to all hosts of a network.
func TestNoBroadcast(t *testing.T) {
	l := listen(t, start(t, funcs{}, Options{}), UDP, "0.0.0.0:0")
	for _, addr := range []string{"127.255.255.255:9", "255.255.255.255:9"} {
		f := l.Flow(netip.MustParseAddrPort(addr))
		if err := f.Send([]byte("x")); !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.ENETUNREACH) {
			t.Errorf("to %s: %v", addr, err)
		}
	}
}

// TestUDPSocketsShare sees that every socket gets its part, and that all are on the port the system
// chose.
func TestUDPSocketsShare(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "0.0.0.0:0", "[::]:0"} {
		const sockets, clients = 3, 200
		readers := make(chan *Outbox, clients)
		m := start(t, funcs{message: func(in *Inbound) {
			readers <- in.Outbox
			echo(in)
		}}, Options{UDPSockets: sockets})
		l := listen(t, m, UDP, addr)
		count := make(map[*Outbox]int)
		for range clients {
			c := client(t, "127.0.0.1:0")
			sendTo(t, c, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), l.Addr().Port()), msg("a", 0))
			receiveFrom(t, c)
			count[<-readers]++
		}
		if len(count) != sockets {
			t.Errorf("%s: %d of %d sockets were used", addr, len(count), sockets)
		}
	}
}

// TestListenTakenShared meets another program that would share the port with us.
func TestListenTakenShared(t *testing.T) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		if e := c.Control(func(fd uintptr) { err = reusePort(int(fd)) }); e != nil {
			return e
		}
		return err
	}}
	other, err := lc.ListenPacket(context.Background(), "udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	m := start(t, funcs{}, Options{})
	taken := other.LocalAddr().(*net.UDPAddr).AddrPort()
	for _, addr := range []netip.AddrPort{taken, netip.AddrPortFrom(netip.IPv4Unspecified(), taken.Port()), netip.AddrPortFrom(netip.IPv6Unspecified(), taken.Port())} {
		if _, err := m.Listen(UDP, addr); err == nil {
			t.Errorf("%s was opened although %s is in use", addr, taken)
		}
	}
}

// TestUDPReadErrors connects the socket below the reader, so that the kernel reports to it that
// nobody listens at the other end.
func TestUDPReadErrors(t *testing.T) {
	var d drops
	m := start(t, funcs{message: echo}, Options{UDPSockets: 1, Dropped: d.count})
	l := listen(t, m, UDP, "127.0.0.1:0")
	s := l.udp[0]
	gone := client(t, "127.0.0.1:0")
	peer := gone.LocalAddr().(*net.UDPAddr).AddrPort()
	gone.Close()
	err := s.control(func(fd int) error {
		return unix.Connect(fd, &unix.SockaddrInet4{Port: int(peer.Port()), Addr: peer.Addr().As4()})
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if err := l.Flow(peer).Send([]byte("is anybody there?")); err != nil && err.(*net.OpError).Err != unix.ECONNREFUSED {
			t.Fatal(err)
		}
	}
	c := client(t, peer.String())
	sendTo(t, c, l.Addr(), msg("a", 0))
	for {
		if got, _ := receiveFrom(t, c); got == msg("a", 0) {
			break
		}
	}

	if !l.backoff(3, unix.ENOMEM) || d.of(DropReadError) != 1 {
		t.Error("an error ends the reader, or is not counted")
	}
	l.Close()
	if l.backoff(1, unix.ENOMEM) {
		t.Error("the reader goes on after the listener was closed")
	}
}

// TestBatchErrors gives a batch of three the results of sendmmsg that loopback never has.
func TestBatchErrors(t *testing.T) {
	type result struct {
		n     int
		errno unix.Errno
	}
	for _, tc := range []struct {
		name    string
		results []result // the last one is repeated
		reason  string
		dropped int
	}{
		{"no room from the second on", []result{{1, 0}, {0, unix.EAGAIN}}, DropSendBuffer, 2},
		{"the second is refused", []result{{1, 0}, {0, unix.EPERM}, {1, 0}}, DropSendError, 1},
		{"all are refused", []result{{0, unix.EPERM}}, DropSendError, 3},
		{"an earlier datagram's error", []result{{0, unix.ECONNREFUSED}, {1, 0}, {0, unix.ECONNREFUSED}, {1, 0}}, "", 0},
		{"no way to the first", []result{{0, unix.ENETUNREACH}, {0, unix.ENETUNREACH}, {2, 0}}, DropSendError, 1},
	} {
		var d drops
		var sent int
		m := start(t, funcs{}, Options{UDPSockets: 1, Dropped: d.count, Traffic: func(_ Network, _ bool, n, _ int) { sent += n }})
		l := listen(t, m, UDP, "127.0.0.1:0")
		c := client(t, "127.0.0.1:0")
		to := c.LocalAddr().(*net.UDPAddr).AddrPort()
		b := newBatch(l.udp[0])
		system := b.mmsg
		b.mmsg = func(_, _ uintptr, _, _ int) (int, unix.Errno) {
			r := tc.results[0]
			if len(tc.results) > 1 {
				tc.results = tc.results[1:]
			}
			return r.n, r.errno
		}
		for range 3 {
			b.add(to, l.addr, []byte("x"))
		}
		b.flush()
		if sent != 3-tc.dropped || tc.dropped > 0 && d.of(tc.reason) != tc.dropped {
			t.Errorf("%s: sent %d, dropped %v", tc.name, sent, d.n)
		}
		// Nothing of that is left for the next batch.
		b.mmsg = system
		b.add(to, l.addr, []byte("y"))
		b.flush()
		if got, _ := receiveFrom(t, c); got != "y" || b.n != 0 || b.done != 0 {
			t.Errorf("%s: got %q after it", tc.name, got)
		}
	}
}

// cpuTime is what this process has used, in nanoseconds.
func cpuTime() int64 {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// TestVectorAddresses writes addresses as for sending and reads them back as received.
func TestVectorAddresses(t *testing.T) {
	v := newVector(1)
	for _, tc := range []struct {
		remote, local string
		is6           bool
	}{
		{"192.0.2.1:5060", "192.0.2.9", false},
		{"192.0.2.1:65535", "192.0.2.9", true},
		{"[2001:db8::1]:5061", "2001:db8::9", true},
		{"[fe80::1%3]:5060", "fe80::9%3", true},
	} {
		remote := netip.MustParseAddrPort(tc.remote)
		local := netip.AddrPortFrom(netip.MustParseAddr(tc.local), 5060)
		s := &udpSocket{l: &Listener{wildcard: true}, is6: tc.is6}
		v.fill(0, s, remote, local, []byte("x"))
		// Sending names our IPv4 address where receiving reads it: ipi_spec_dst.
		if v.remote(0) != remote || v.local(0) != local.Addr() {
			t.Errorf("%+v: %s, %s", tc, v.remote(0), v.local(0))
		}
		s.l.wildcard = false
		v.fill(0, s, remote, local, []byte("x"))
		if v.hdrs[0].Control != nil || v.hdrs[0].Controllen != 0 || v.local(0).IsValid() {
			t.Errorf("%+v: a bound socket names its source", tc)
		}
	}
}

// TestFlowFrom asks for flows from addresses that a host has, and from others.
func TestFlowFrom(t *testing.T) {
	m := start(t, funcs{}, Options{UDPSockets: 1})
	for _, tc := range []struct{ listen, remote, local, want string }{
		{"0.0.0.0:0", "127.0.0.9:5060", "127.0.0.5:1", "127.0.0.5"},
		{"[::]:0", "127.0.0.9:5060", "127.0.0.5:1", "127.0.0.5"},
		{"[::]:0", "[::1]:5060", "[::1]:1", "::1"},
		{"0.0.0.0:0", "127.0.0.9:5060", "192.0.2.1:1", "127.0.0.1"},   // it would lead nowhere
		{"[::]:0", "127.0.0.9:5060", "[::1]:1", "127.0.0.1"},          // another kind
		{"[::]:0", "[::1]:5060", "[2001:db8::1]:1", "::1"},            // not this host's
		{"0.0.0.0:0", "127.0.0.9:5060", "", "127.0.0.1"},              // none is asked for
		{"127.0.0.1:0", "127.0.0.9:5060", "127.0.0.5:1", "127.0.0.1"}, // the socket has one only
	} {
		l := listen(t, m, UDP, tc.listen)
		var local netip.AddrPort
		if tc.local != "" {
			local = netip.MustParseAddrPort(tc.local)
		}
		f := l.FlowFrom(netip.MustParseAddrPort(tc.remote), local)
		want := netip.AddrPortFrom(netip.MustParseAddr(tc.want), l.Addr().Port())
		if f.Local != want || f.Remote.String() != tc.remote || f.Listener != l || f.Network != UDP {
			t.Errorf("%+v: %+v", tc, f)
		}
	}
	gone := netip.MustParseAddrPort("203.0.113.200:1")
	if f := listen(t, m, UDP, "0.0.0.0:0").FlowFrom(netip.MustParseAddrPort("203.0.113.9:5060"), gone); f.Local.Addr() == gone.Addr() {
		t.Error("it is to be sent from an address that is not ours")
	}
}
