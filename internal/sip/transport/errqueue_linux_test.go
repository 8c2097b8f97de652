package transport

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// report is one call of Options.Unreachable.
type report struct {
	remote netip.AddrPort
	sent   string
	err    error
}

// deadPort returns an address of this host where nothing listens.
func deadPort(t testing.TB, addr string) netip.AddrPort {
	t.Helper()
	c := client(t, addr)
	defer c.Close()
	return canonical(netip.MustParseAddrPort(c.LocalAddr().String()))
}

// TestUnreachable sends to ports that are closed, at once and in a batch.
func TestUnreachable(t *testing.T) {
	for _, tc := range []struct{ listen, dead string }{
		{"127.0.0.1:0", "127.0.0.1:0"},
		{"0.0.0.0:0", "127.0.0.2:0"},
		{"[::]:0", "127.0.0.2:0"},
		{"[::]:0", "[::1]:0"},
		{"[::1]:0", "[::1]:0"},
	} {
		for _, sockets := range []int{1, 3} {
			reports := make(chan report, 8)
			dead := deadPort(t, tc.dead)
			var d drops
			m := start(t, funcs{message: func(in *Inbound) {
				out := in.Outbox
				flow := in.Flow
				flow.Remote = dead
				for range 2 {
					out.Send(flow, append(out.Buffer(), msg("batch", 0)...))
				}
				out.Send(in.Flow, append(out.Buffer(), "answer"...))
			}}, Options{UDPSockets: sockets, Dropped: d.count, Unreachable: func(remote netip.AddrPort, sent []byte, err error) {
				reports <- report{remote, string(sent), err}
			}})
			l := listen(t, m, UDP, tc.listen)
			large := msg("large", 3000)
			for _, text := range []string{msg("at once", 0), large} {
				if err := l.Flow(dead).Send([]byte(text)); err != nil {
					t.Errorf("%v: %v", tc, err)
				}
				r := wait(t, reports, "the error")
				if r.remote != dead || len(r.sent) < 400 && r.sent != text || !strings.HasPrefix(text, r.sent) ||
					!errors.Is(r.err, unix.ECONNREFUSED) {
					t.Errorf("%v: got %+v", tc, r)
				}
			}
			c := client(t, netip.AddrPortFrom(dead.Addr(), 0).String())
			sendTo(t, c, netip.AddrPortFrom(dead.Addr(), l.Addr().Port()), msg("a", 0))
			if got, _ := receiveFrom(t, c); got != "answer" {
				t.Errorf("%v: got %q", tc, got)
			}
			for range 2 {
				if r := wait(t, reports, "the error of the batch"); r.remote != dead || r.sent != msg("batch", 0) {
					t.Errorf("%v: got %+v", tc, r)
				}
			}
			if d.n != nil {
				t.Errorf("%v: dropped %v", tc, d.n)
			}
		}
	}
}

// TestUnreachableTaken has the kernel tell a sender of an error, who sends to somebody else, before
// the reader can ask.
func TestUnreachableTaken(t *testing.T) {
	reports := make(chan report, 8)
	dead := deadPort(t, "127.0.0.1:0")
	live := client(t, "127.0.0.1:0")
	m := start(t, funcs{message: func(in *Inbound) {
		for _, remote := range []netip.AddrPort{dead, canonical(netip.MustParseAddrPort(live.LocalAddr().String()))} {
			if err := in.Flow.Listener.Flow(remote).Send(in.Data); err != nil {
				t.Error(err)
			}
		}
	}}, Options{UDPSockets: 1, Unreachable: func(remote netip.AddrPort, sent []byte, err error) {
		reports <- report{remote, string(sent), err}
	}})
	l := listen(t, m, UDP, "127.0.0.1:0")
	for i := range 20 {
		text := msg(fmt.Sprint("a", i), 0)
		sendTo(t, live, l.Addr(), text)
		if got, _ := receiveFrom(t, live); got != text {
			t.Fatalf("got %q", got)
		}
		if r := wait(t, reports, "the error"); r.sent != text {
			t.Errorf("got %+v", r)
		}
	}
}

// TestUnreachableWatched wakes a reader, which looks how far it is behind, for nothing but an error.
func TestUnreachableWatched(t *testing.T) {
	reports := make(chan report, 8)
	dead := deadPort(t, "127.0.0.1:0")
	live := client(t, "127.0.0.1:0")
	m := start(t, funcs{message: func(in *Inbound) {
		in.load.behind = time.Now()
		if !in.load.watched() {
			t.Error("a reader that is behind is not watched")
		}
		// The second call is told of what became of the first, and wakes the reader.
		for _, remote := range []netip.AddrPort{dead, in.Flow.Remote} {
			if err := in.Flow.Listener.Flow(remote).Send(in.Data); err != nil {
				t.Error(err)
			}
		}
	}}, Options{UDPSockets: 1, Unreachable: func(remote netip.AddrPort, sent []byte, err error) {
		reports <- report{remote, string(sent), err}
	}})
	l := listen(t, m, UDP, "127.0.0.1:0")
	for i := range 5 {
		text := msg(fmt.Sprint("a", i), 0)
		sendTo(t, live, l.Addr(), text)
		if got, _ := receiveFrom(t, live); got != text {
			t.Fatalf("got %q", got)
		}
		if r := wait(t, reports, "the error"); r.remote != dead || r.sent != text {
			t.Errorf("got %+v", r)
		}
	}
}

// TestUnreachableFlood has a great number of errors come while others talk: nothing that is sent to
// those is lost, and nothing that they send is left unread.
func TestUnreachableFlood(t *testing.T) {
	const senders, each = 4, 500
	var mu sync.Mutex
	count := 0
	var d drops
	m := start(t, funcs{message: echo}, Options{UDPSockets: 1, Dropped: d.count, Unreachable: func(netip.AddrPort, []byte, error) {
		mu.Lock()
		defer mu.Unlock()
		count++
	}})
	l := listen(t, m, UDP, "127.0.0.1:0")
	dead := l.Flow(deadPort(t, "127.0.0.1:0"))
	var flood sync.WaitGroup
	for range senders {
		flood.Go(func() {
			for range each {
				if err := dead.Send([]byte(msg("flood", 0))); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	c := client(t, "127.0.0.1:0")
	for range each {
		sendTo(t, c, l.Addr(), msg("a", 0))
		if got, _ := receiveFrom(t, c); got != msg("a", 0) {
			t.Fatalf("got %q", got)
		}
	}
	flood.Wait()
	if d.n != nil {
		t.Errorf("dropped %v", d.n)
	}
	mu.Lock()
	defer mu.Unlock()
	if count == 0 {
		t.Error("no error was reported")
	}
}

// TestErrorKinds reads what the kernel says of ICMP messages that loopback does not send.
func TestErrorKinds(t *testing.T) {
	const refused = unix.ECONNREFUSED
	for _, tc := range []struct {
		level, cmsg        int32
		origin, kind, code byte
		want               unix.Errno
	}{
		{unix.IPPROTO_IP, unix.IP_RECVERR, unix.SO_EE_ORIGIN_ICMP, 3, 3, refused},
		{unix.IPPROTO_IP, unix.IP_RECVERR, unix.SO_EE_ORIGIN_ICMP, 3, 1, refused},
		{unix.IPPROTO_IP, unix.IP_RECVERR, unix.SO_EE_ORIGIN_ICMP, 12, 0, refused},
		{unix.IPPROTO_IPV6, unix.IPV6_RECVERR, unix.SO_EE_ORIGIN_ICMP, 3, 3, refused},
		{unix.IPPROTO_IPV6, unix.IPV6_RECVERR, unix.SO_EE_ORIGIN_ICMP6, 1, 4, refused},
		{unix.IPPROTO_IPV6, unix.IPV6_RECVERR, unix.SO_EE_ORIGIN_ICMP6, 4, 0, refused},
		{unix.IPPROTO_IP, unix.IP_RECVERR, unix.SO_EE_ORIGIN_ICMP, 3, 4, 0},      // too large
		{unix.IPPROTO_IP, unix.IP_RECVERR, unix.SO_EE_ORIGIN_ICMP, 11, 0, 0},     // lived too long
		{unix.IPPROTO_IP, unix.IP_RECVERR, unix.SO_EE_ORIGIN_ICMP, 4, 0, 0},      // source quench
		{unix.IPPROTO_IPV6, unix.IPV6_RECVERR, unix.SO_EE_ORIGIN_ICMP6, 2, 0, 0}, // too large
		{unix.IPPROTO_IPV6, unix.IPV6_RECVERR, unix.SO_EE_ORIGIN_ICMP6, 3, 0, 0}, // lived too long
		{unix.IPPROTO_IP, unix.IP_RECVERR, unix.SO_EE_ORIGIN_LOCAL, 3, 3, 0},
		{unix.IPPROTO_IP, unix.IP_PKTINFO, unix.SO_EE_ORIGIN_ICMP, 3, 3, 0},
	} {
		v := newVector(1)
		hdr := (*unix.Cmsghdr)(unsafe.Pointer(&v.controls[0]))
		hdr.Level, hdr.Type = tc.level, tc.cmsg
		hdr.SetLen(unix.CmsgLen(16))
		copy(v.controls[0][unix.CmsgLen(0):], []byte{byte(refused), 0, 0, 0, tc.origin, tc.kind, tc.code})
		v.hdrs[0].SetControllen(unix.CmsgSpace(16))
		if got := v.unreachable(0); got != tc.want {
			t.Errorf("%+v: %v", tc, got)
		}
	}
}
