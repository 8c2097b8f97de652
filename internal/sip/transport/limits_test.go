package transport

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLimitsDefaults(t *testing.T) {
	m := start(t, funcs{}, Options{})
	l := listen(t, m, UDP, "127.0.0.1:0")
	want := Limits{Datagram: 64 << 10, Message: 64 << 10, MessageTimeout: 30 * time.Second, Conns: 65536, ConnsPerSource: 4096}
	if got := *l.Limits(); got != want {
		t.Errorf("got %+v", got)
	}
	if got := *(&Flow{}).Limits(); got != want {
		t.Errorf("without a listener: %+v", got)
	}
	l.SetLimits(NewLimits(Limits{Conns: 5}))
	want.Conns = 5
	if f := l.Flow(l.Addr()); *f.Limits() != want {
		t.Errorf("got %+v", *f.Limits())
	}
	l.SetLimits(nil)
	if l.Limits() != &m.opts.Limits {
		t.Error("they cannot be taken back")
	}
}

// TestConnLimits has two listeners share limits, and a third one with its own.
func TestConnLimits(t *testing.T) {
	var d drops
	closed := make(chan error, 100)
	m := start(t, funcs{message: echo, closed: func(_ *Conn, err error) { closed <- err }}, Options{Dropped: d.count})
	a, b, c := listen(t, m, TCP, "127.0.0.1:0"), listen(t, m, TCP, "127.0.0.1:0"), listen(t, m, TCP, "127.0.0.1:0")
	shared := NewLimits(Limits{Conns: 3})
	a.SetLimits(shared)
	b.SetLimits(shared)
	c.SetLimits(NewLimits(Limits{Conns: 10, ConnsPerSource: 1}))
	try := func(l *Listener) net.Conn {
		t.Helper()
		nc := connect(t, l)
		io.WriteString(nc, msg("a", 0))
		expect(t, nc, msg("a", 0))
		return nc
	}
	refuse := func(l *Listener, reason string) {
		t.Helper()
		before := d.of(reason)
		expectEnd(t, connect(t, l))
		if n := d.of(reason) - before; n != 1 {
			t.Errorf("%d counted as %s", n, reason)
		}
	}
	try(a)
	try(a)
	last := try(b)
	refuse(a, DropConnLimit)
	refuse(b, DropConnLimit)
	try(c)
	refuse(c, DropSourceLimit)

	// What is let in under one limit stays under a lower one; nobody else comes in before it is so
	// few.
	lower := NewLimits(Limits{Conns: 2})
	a.SetLimits(lower)
	b.SetLimits(lower)
	io.WriteString(last, msg("still here", 0))
	expect(t, last, msg("still here", 0))
	refuse(b, DropConnLimit)
	last.Close()
	wait(t, closed, "ConnClosed")
	refuse(b, DropConnLimit)
	more := NewLimits(Limits{Conns: 4, ConnsPerSource: 3})
	a.SetLimits(more)
	b.SetLimits(more)
	try(b)
	refuse(b, DropSourceLimit)
	none := NewLimits(Limits{Conns: -1, ConnsPerSource: -1})
	a.SetLimits(none)
	for range 3 {
		try(a)
	}
}

// TestMessageLimits changes them under a connection that stays open.
func TestMessageLimits(t *testing.T) {
	var d drops
	type event struct {
		n   int
		err error
	}
	events := make(chan event, 10)
	m := start(t, funcs{message: func(in *Inbound) {
		events <- event{len(in.Data), in.Err}
		in.Outbox.Send(in.Flow, []byte("."))
	}}, Options{Dropped: d.count})
	l := listen(t, m, TCP, "127.0.0.1:0")
	l.SetLimits(NewLimits(Limits{Message: 1000}))
	sized := func(n int) string {
		body := n
		for len(msg("a", body)) > n {
			body--
		}
		return msg("a", body)
	}
	nc := connect(t, l)
	send := func(n int) event {
		t.Helper()
		text := sized(n)
		if len(text) != n {
			t.Fatalf("%d bytes, not %d", len(text), n)
		}
		io.WriteString(nc, text)
		expect(t, nc, ".")
		return wait(t, events, "the message")
	}
	for _, n := range []int{999, 1000} {
		if e := send(n); e.n != n || e.err != nil {
			t.Errorf("%d bytes: %+v", n, e)
		}
	}
	l.SetLimits(NewLimits(Limits{Message: 10_000}))
	for _, n := range []int{1001, 10_000, 1001} {
		if e := send(n); e.n != n || e.err != nil {
			t.Errorf("%d bytes: %+v", n, e)
		}
	}
	l.SetLimits(NewLimits(Limits{Message: 1000}))
	// The limit falls while a message is being read.
	var frame *FrameError
	if e := send(1001); !errors.As(e.err, &frame) || frame.Status != 413 {
		t.Errorf("got %+v", e)
	}
	expectEnd(t, nc)
	if d.of(DropTooLarge) != 1 || d.of(DropFraming) != 0 {
		t.Errorf("counted %d and %d", d.of(DropTooLarge), d.of(DropFraming))
	}
}

func TestDatagramLimit(t *testing.T) {
	var d drops
	got := make(chan int, 10)
	m := start(t, funcs{message: func(in *Inbound) { got <- len(in.Data) }}, Options{Dropped: d.count})
	l := listen(t, m, UDP, "127.0.0.1:0")
	c := client(t, "127.0.0.1:0")
	for i, limit := range []int{1000, 100, 50_000, 65_507} {
		l.SetLimits(NewLimits(Limits{Datagram: limit}))
		for _, n := range []int{limit + 1, limit - 1, limit} {
			if n <= 65_507 {
				sendTo(t, c, l.Addr(), strings.Repeat("x", n))
			}
		}
		for _, n := range []int{limit - 1, limit} {
			if size := wait(t, got, "the datagram"); size != n {
				t.Errorf("limit %d: a datagram of %d bytes was taken, want %d", limit, size, n)
			}
		}
		if n := d.of(DropTooLarge); n != min(i+1, 3) {
			t.Errorf("limit %d: %d counted", limit, n)
		}
	}
}

// TestTimeoutsChange gives a connection that is there other timeouts.
func TestTimeoutsChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d drops
		m := NewManager(funcs{message: echo}, Options{Dropped: d.count})
		peer, c := pipe(t, m)
		l := c.flow.Listener
		message := func() {
			io.WriteString(peer, msg("a", 0))
			expect(t, peer, msg("a", 0))
		}
		message()
		<-time.After(time.Hour)
		l.SetLimits(NewLimits(Limits{MessageTimeout: 2 * time.Second, IdleTimeout: time.Minute}))
		message()
		<-time.After(59 * time.Second)
		io.WriteString(peer, msg("a", 0)[:5])
		begin := time.Now()
		<-c.Done()
		if took := time.Since(begin); took != 2*time.Second || d.of(DropMessageTimeout) != 1 {
			t.Errorf("closed after %v", took)
		}

		peer, c = pipe(t, m)
		c.flow.Listener.SetLimits(l.Limits())
		message()
		begin = time.Now()
		<-c.Done()
		if took := time.Since(begin); took != time.Minute || d.of(DropIdleTimeout) != 1 {
			t.Errorf("closed after %v", took)
		}
		m.Close()
	})
}

// TestCloseFrom closes the connections that come from a network, and no others: neither those from
// elsewhere nor those that were made to it.
func TestCloseFrom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewManager(funcs{}, Options{})
		defer m.Close()
		l := &Listener{m: m}
		open := func(remote string, l *Listener) *Conn {
			t.Helper()
			ours, theirs := net.Pipe()
			t.Cleanup(func() { theirs.Close() })
			c, err := m.adopt(ours, Flow{Network: TCP, Remote: netip.MustParseAddrPort(remote), Listener: l}, "")
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		conns := map[string]*Conn{}
		for _, remote := range []string{"192.0.2.1:1000", "192.0.2.1:1001", "192.0.2.2:1000", "198.51.100.1:1000", "[2001:db8::1]:1000",
			"[2001:db8::2]:1000", "[2001:db8:0:1::1]:1000"} {
			conns[remote] = open(remote, l)
		}
		conns["dialed"] = open("192.0.2.1:5060", nil)
		for _, test := range []struct{ prefix, closes string }{
			{"192.0.2.1/32", "192.0.2.1:1000 192.0.2.1:1001"},
			{"203.0.113.1/32", ""},
			{"192.0.2.0/24", "192.0.2.2:1000"},
			{"2001:db8::/64", "[2001:db8::1]:1000 [2001:db8::2]:1000"},
			{"2001:db8::/32", "[2001:db8:0:1::1]:1000"},
		} {
			m.CloseFrom(netip.MustParsePrefix(test.prefix))
			synctest.Wait()
			var closed []string
			for remote, c := range conns {
				select {
				case <-c.Done():
					closed = append(closed, remote)
					delete(conns, remote)
				default:
				}
			}
			slices.Sort(closed)
			if got := strings.Join(closed, " "); got != test.closes {
				t.Errorf("%s closes %q, want %q", test.prefix, got, test.closes)
			}
		}
		if len(conns) != 2 {
			t.Errorf("%d connections are left", len(conns))
		}
	})
}
