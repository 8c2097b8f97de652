package transport

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
)

func TestUDPEcho(t *testing.T) {
	for _, tc := range []struct{ listen, client, to string }{
		{"127.0.0.1:0", "127.0.0.1:0", "127.0.0.1"},
		{"[::1]:0", "[::1]:0", "::1"},
		{"0.0.0.0:0", "127.0.0.1:0", "127.0.0.1"},
		{"[::]:0", "127.0.0.1:0", "127.0.0.1"},
		{"[::]:0", "[::1]:0", "::1"},
		{"[::ffff:127.0.0.1]:0", "127.0.0.1:0", "127.0.0.1"},
	} {
		t.Run(tc.listen+" "+tc.to, func(t *testing.T) {
			flows := make(chan Flow, 1)
			m := start(t, funcs{message: func(in *Inbound) {
				flows <- in.Flow
				echo(in)
			}}, Options{})
			l := listen(t, m, UDP, tc.listen)
			c := client(t, tc.client)
			to := netip.AddrPortFrom(netip.MustParseAddr(tc.to), l.Addr().Port())
			sendTo(t, c, to, msg("a", 10))
			got, from := receiveFrom(t, c)
			if got != msg("a", 10) || from != to {
				t.Errorf("got %q from %s, want it from %s", got, from, to)
			}
			remote := c.LocalAddr().(*net.UDPAddr).AddrPort()
			want := Flow{Network: UDP, Remote: canonical(remote), Local: to, Listener: l}
			if f := wait(t, flows, "the flow"); f != want {
				t.Errorf("flow %+v, want %+v", f, want)
			}
			if f := l.Flow(remote); f != want {
				t.Errorf("Listener.Flow %+v, want %+v", f, want)
			}
			// Outside the batch, to the same place and from it.
			if err := want.Send([]byte(msg("later", 0))); err != nil {
				t.Fatal(err)
			}
			if got, from := receiveFrom(t, c); got != msg("later", 0) || from != to {
				t.Errorf("got %q from %s, want it from %s", got, from, to)
			}
			if f, err := m.Dial(t.Context(), UDP, remote); err != nil || f != want {
				t.Errorf("Dial gave %+v, %v", f, err)
			}
		})
	}
}

func TestUDPNothingLost(t *testing.T) {
	const clients, perClient, window = 4, 2500, 64
	m := start(t, funcs{message: echo}, Options{})
	l := listen(t, m, UDP, "127.0.0.1:0")
	var wg sync.WaitGroup
	for i := range clients {
		c := client(t, "127.0.0.1:0")
		wg.Go(func() {
			seen := make(map[string]bool)
			buf := make([]byte, 2048)
			for sent := 0; len(seen) < perClient; {
				for ; sent < perClient && sent-len(seen) < window; sent++ {
					c.WriteToUDPAddrPort([]byte(msg(fmt.Sprintf("%d-%d", i, sent), 300)), l.Addr())
				}
				n, _, err := c.ReadFromUDPAddrPort(buf)
				if err != nil {
					t.Errorf("client %d has %d of %d: %v", i, len(seen), sent, err)
					return
				}
				seen[string(buf[:n])] = true
			}
			for j := range perClient {
				if !seen[msg(fmt.Sprintf("%d-%d", i, j), 300)] {
					t.Errorf("client %d lacks %d", i, j)
				}
			}
		})
	}
	wg.Wait()
}

func TestUDPManySendsPerMessage(t *testing.T) {
	// More than a batch has room for, longer than a buffer has, and several buffers in use at once.
	const n = 200
	m := start(t, funcs{message: func(in *Inbound) {
		var bufs [n][]byte
		for i := range bufs {
			bufs[i] = in.Outbox.Buffer()
		}
		for i, b := range bufs {
			in.Outbox.Send(in.Flow, append(b, msg(fmt.Sprint(i), i*30)...))
		}
	}}, Options{})
	l := listen(t, m, UDP, "127.0.0.1:0")
	c := client(t, "127.0.0.1:0")
	c.SetReadBuffer(4 << 20)
	sendTo(t, c, l.Addr(), msg("go", 0))
	for i := range n {
		if got, _ := receiveFrom(t, c); got != msg(fmt.Sprint(i), i*30) {
			t.Fatalf("datagram %d is %q", i, got)
		}
	}
}

// TestOrderAcrossFlows sends to two, while the batch goes on: the first datagram is out before the
// second message is.
func TestOrderAcrossFlows(t *testing.T) {
	goOn := make(chan struct{})
	var other Flow
	m := start(t, funcs{message: func(in *Inbound) {
		in.Outbox.Send(in.Flow, append(in.Outbox.Buffer(), msg("first", 0)...))
		in.Outbox.Send(other, append(in.Outbox.Buffer(), msg("second", 0)...))
		<-goOn
	}}, Options{})
	got := make(chan string, 1)
	peer := start(t, funcs{message: func(in *Inbound) { got <- string(in.Data) }}, Options{})
	var err error
	if other, err = m.Dial(t.Context(), TCP, listen(t, peer, TCP, "127.0.0.1:0").Addr()); err != nil {
		t.Fatal(err)
	}
	l := listen(t, m, UDP, "127.0.0.1:0")
	c := client(t, "127.0.0.1:0")
	sendTo(t, c, l.Addr(), msg("go", 0))
	defer close(goOn)
	if s := wait(t, got, "the message on the stream"); s != msg("second", 0) {
		t.Errorf("got %q", s)
	}
	if s, _ := receiveFrom(t, c); s != msg("first", 0) {
		t.Errorf("got %q", s)
	}
}

func TestUDPDrops(t *testing.T) {
	var d drops
	got := make(chan string, 10)
	m := start(t, funcs{message: func(in *Inbound) { got <- string(in.Data) }},
		Options{Limits: Limits{Datagram: 1000}, UDPSockets: 1, Dropped: d.count})
	l := listen(t, m, UDP, "127.0.0.1:0")
	c := client(t, "127.0.0.1:0")
	for _, s := range []string{"\r\n\r\n", "\x00\x00\x00\x00", "\n", "", "hello", msg("big", 1000), strings.Repeat("x", 60000), "\r\n\r\n" + msg("ok", 0)} {
		sendTo(t, c, l.Addr(), s)
	}
	if s := wait(t, got, "the message"); s != msg("ok", 0) {
		t.Errorf("got %q", s)
	}
	for reason, n := range map[string]int{DropKeepAlive: 4, DropShort: 1, DropTooLarge: 2} {
		if d.of(reason) != n {
			t.Errorf("%s: %d, want %d", reason, d.of(reason), n)
		}
	}
	if len(got) > 0 {
		t.Errorf("got %q as well", <-got)
	}
}

func TestUDPBadDatagramDoesNotStopOthers(t *testing.T) {
	var d drops
	m := start(t, funcs{message: func(in *Inbound) {
		in.Outbox.Send(in.Flow, []byte("before the bad one"))
		in.Outbox.Send(in.Flow, make([]byte, 66000)) // EMSGSIZE
		in.Outbox.Send(Flow{Network: UDP, Remote: netip.MustParseAddrPort("[::1]:9"), Listener: in.Flow.Listener}, []byte("no such family"))
		in.Outbox.Send(Flow{Network: UDP, Remote: netip.MustParseAddrPort("127.0.0.1:0"), Listener: in.Flow.Listener}, []byte("no such port"))
		in.Outbox.Send(in.Flow, []byte("after the bad one"))
	}}, Options{Dropped: d.count})
	l := listen(t, m, UDP, "127.0.0.1:0")
	c := client(t, "127.0.0.1:0")
	for range 2 {
		sendTo(t, c, l.Addr(), msg("go", 0))
		for _, want := range []string{"before the bad one", "after the bad one"} {
			if got, _ := receiveFrom(t, c); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	}
	if err := l.Flow(c.LocalAddr().(*net.UDPAddr).AddrPort()).Send(make([]byte, 66000)); err == nil {
		t.Error("an oversized datagram was sent")
	}
	if n := d.of(DropSendError); n != 7 {
		t.Errorf("%d send errors counted, want 7", n)
	}
}

func TestUDPUnreachablePeerDoesNotStopReader(t *testing.T) {
	m := start(t, funcs{message: echo}, Options{UDPSockets: 1})
	l := listen(t, m, UDP, "127.0.0.1:0")
	gone := client(t, "127.0.0.1:0")
	nobody := gone.LocalAddr().(*net.UDPAddr).AddrPort()
	gone.Close()
	for range 10 {
		if err := l.Flow(nobody).Send([]byte(msg("x", 0))); err != nil {
			t.Fatal(err)
		}
	}
	c := client(t, "127.0.0.1:0")
	sendTo(t, c, l.Addr(), msg("a", 0))
	if got, _ := receiveFrom(t, c); got != msg("a", 0) {
		t.Errorf("got %q", got)
	}
}

func TestListenTaken(t *testing.T) {
	m := start(t, funcs{}, Options{})
	u := client(t, "127.0.0.1:0").LocalAddr().(*net.UDPAddr).AddrPort()
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	for n, taken := range map[Network]netip.AddrPort{UDP: u, TCP: tcp.Addr().(*net.TCPAddr).AddrPort()} {
		for _, ip := range []string{"127.0.0.1", "0.0.0.0"} {
			addr := netip.AddrPortFrom(netip.MustParseAddr(ip), taken.Port())
			_, err := m.Listen(n, addr)
			if err == nil || !strings.Contains(err.Error(), addr.String()) {
				t.Errorf("listening on %s %s: %v", n, addr, err)
			}
		}
	}
	if l := m.Listeners(); len(l) != 0 {
		t.Errorf("%d listeners", len(l))
	}
}

// freePort returns a port that nobody uses on any address, and that the system gives to nobody who
// asks for any.
func freePort(t *testing.T) uint16 {
	t.Helper()
	for range 100 {
		port := 10240 + rand.IntN(32768-10240)
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			continue
		}
		c, err := net.ListenPacket("udp", fmt.Sprintf(":%d", port))
		l.Close()
		if err == nil {
			c.Close()
			return uint16(port)
		}
	}
	t.Fatal("no port is free")
	return 0
}

func TestListenOverlap(t *testing.T) {
	for _, tc := range []struct {
		first, second string
		ok            bool
	}{
		{"127.0.0.1", "127.0.0.1", false},
		{"127.0.0.1", "0.0.0.0", false},
		{"0.0.0.0", "127.0.0.1", false},
		{"::", "127.0.0.1", false},
		{"::1", "::", false},
		{"0.0.0.0", "::", false},
		{"127.0.0.1", "::1", true},
		{"0.0.0.0", "::1", true},
	} {
		for _, n := range []Network{UDP, TCP} {
			m := start(t, funcs{}, Options{})
			first := listen(t, m, n, netip.AddrPortFrom(netip.MustParseAddr(tc.first), freePort(t)).String())
			second := netip.AddrPortFrom(netip.MustParseAddr(tc.second), first.Addr().Port())
			_, err := m.Listen(n, second)
			if tc.ok {
				if err != nil {
					t.Error(err)
				}
				continue
			}
			if err == nil || !strings.Contains(err.Error(), second.String()) || !strings.Contains(err.Error(), first.Addr().String()) {
				t.Errorf("%s %s and %s: %v", n, first.Addr(), second, err)
			}
			// The place is free once the first is closed.
			first.Close()
			if _, err := m.Listen(n, second); err != nil {
				t.Error(err)
			}
		}
	}
	// Streams share the ports of TCP, datagrams don't.
	a := netip.MustParseAddrPort("127.0.0.1:5060")
	if !Overlap(TCP, a, TLS, a) || Overlap(UDP, a, TCP, a) {
		t.Error("overlap mixes up UDP and TCP ports")
	}
}

func TestClosed(t *testing.T) {
	m := start(t, funcs{}, Options{})
	l := listen(t, m, UDP, "127.0.0.1:0")
	f := l.Flow(l.Addr())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Send([]byte("x")); !errors.Is(err, ErrClosed) {
		t.Errorf("sending: %v", err)
	}
	if _, err := m.Dial(t.Context(), UDP, l.Addr()); !errors.Is(err, errNoListener) {
		t.Errorf("dialing: %v", err)
	}
	m.Close()
	if _, err := m.Listen(UDP, l.Addr()); !errors.Is(err, ErrClosed) {
		t.Errorf("listening: %v", err)
	}
	if _, err := m.Dial(t.Context(), TCP, l.Addr()); !errors.Is(err, ErrClosed) {
		t.Errorf("dialing: %v", err)
	}
	for _, n := range []Network{TLS, WS, WSS} {
		if _, err := NewManager(funcs{}, Options{}).Listen(n, l.Addr()); !errors.Is(err, errUnsupported) {
			t.Errorf("%s: %v", n, err)
		}
	}
	for _, f := range []Flow{{}, {Network: TCP}, {Network: TCP, Listener: l}} {
		if f.Send([]byte("x")) == nil {
			t.Errorf("%+v sent", f)
		}
	}
}
