package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// connect dials a listener as a client would.
func connect(t testing.TB, l *Listener) *net.TCPConn {
	t.Helper()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	return nc.(*net.TCPConn)
}

func expect(t testing.TB, r io.Reader, want string) {
	t.Helper()
	buf := make([]byte, len(want))
	if n, err := io.ReadFull(r, buf); err != nil || string(buf) != want {
		t.Fatalf("got %q, %v, want %q", buf[:n], err, want)
	}
}

func expectEnd(t testing.TB, r io.Reader) {
	t.Helper()
	if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
		t.Fatalf("got %q, %v, want the end", rest, err)
	}
}

func TestTCPEcho(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"} {
		flows := make(chan Flow, 10)
		closed := make(chan error, 1)
		m := start(t, funcs{
			message: func(in *Inbound) { flows <- in.Flow; echo(in) },
			closed:  func(_ *Conn, err error) { closed <- err },
		}, Options{})
		l := listen(t, m, TCP, addr)
		to := l.Addr()
		if to.Addr().IsUnspecified() {
			to = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), to.Port())
		}
		nc, err := net.Dial("tcp", to.String())
		if err != nil {
			t.Fatal(err)
		}
		nc.SetDeadline(time.Now().Add(patience))
		// Three messages and the start of a fourth in one segment.
		all := msg("a", 5) + msg("b", 0) + msg("c", 50_000) + msg("d", 1)
		io.WriteString(nc, all[:len(all)-1])
		expect(t, nc, all[:len(all)-len(msg("d", 1))])
		io.WriteString(nc, all[len(all)-1:])
		expect(t, nc, msg("d", 1))
		io.WriteString(nc, "\r\n\r\n")
		expect(t, nc, "\r\n")
		io.WriteString(nc, "\r\n\x00"+msg("f", 0)+"\x00\r\n"+msg("g", 0)+"\x00\x00\x00\x00"+msg("h", 0))
		expect(t, nc, msg("f", 0)+msg("g", 0)+msg("h", 0))

		f := <-flows
		remote := canonical(nc.LocalAddr().(*net.TCPAddr).AddrPort())
		if want := (Flow{Network: TCP, Remote: remote, Local: to, Listener: l, Conn: f.Conn}); f != want || f.Conn == nil || f != f.Conn.Flow() {
			t.Errorf("flow %+v, want %+v", f, want)
		}
		if c, ok := m.Conn(TCP, remote); !ok || c != f.Conn {
			t.Error("the accepted connection is not found by its peer")
		}
		if d, err := m.Dial(t.Context(), TCP, remote); err != nil || d != f {
			t.Errorf("Dial gave %+v, %v, not the accepted connection", d, err)
		}
		// A connection outlives its listener.
		l.Close()
		if _, err := net.Dial("tcp", to.String()); err == nil {
			t.Error("the closed listener accepts")
		}
		io.WriteString(nc, msg("e", 0))
		expect(t, nc, msg("e", 0))
		nc.Close()
		if err := wait(t, closed, "ConnClosed"); err != io.EOF {
			t.Errorf("closed: %v", err)
		}
		<-f.Conn.Done()
		if _, ok := m.Conn(TCP, remote); ok {
			t.Error("a closed connection is found")
		}
		if err := f.Send([]byte("x")); !errors.Is(err, ErrClosed) {
			t.Errorf("sending: %v", err)
		}
	}
}

func TestTCPHalfClosed(t *testing.T) {
	m := start(t, funcs{message: echo}, Options{})
	nc := connect(t, listen(t, m, TCP, "127.0.0.1:0"))
	io.WriteString(nc, msg("a", 0)+msg("b", 9))
	nc.CloseWrite()
	expect(t, nc, msg("a", 0)+msg("b", 9))
	expectEnd(t, nc)
}

func TestTCPFramingError(t *testing.T) {
	head := "OPTIONS sip:a SIP/2.0\r\nX: y\r\n"
	for _, tc := range []struct {
		send, data string
		status     int
	}{
		{head + "\r\nwhatever follows", head + "\r\n", 400},
		{head + "l: 1\r\nl: 2\r\n\r\n", head + "l: 1\r\nl: 2\r\n\r\n", 400},
		{head + "l: 100000\r\n\r\n" + strings.Repeat("x", 100_000), head + "l: 100000\r\n\r\n", 413},
		{head + strings.Repeat("y", 100_000), head + strings.Repeat("y", 64<<10-len(head)), 513},
	} {
		type event struct {
			data string
			err  error
		}
		events := make(chan event, 3)
		closed := make(chan error, 1)
		var d drops
		m := start(t, funcs{
			message: func(in *Inbound) {
				if in.Err == nil {
					echo(in)
					return
				}
				events <- event{string(in.Data), in.Err}
				in.Outbox.Send(in.Flow, []byte("the answer"))
			},
			closed: func(_ *Conn, err error) { closed <- err },
		}, Options{Dropped: d.count})
		nc := connect(t, listen(t, m, TCP, "127.0.0.1:0"))
		// What was right is handled, what comes after the error is not.
		io.WriteString(nc, msg("ok", 0)+tc.send+msg("later", 0))
		expect(t, nc, msg("ok", 0)+"the answer")
		expectEnd(t, nc)
		nc.Close()
		e := wait(t, events, "the error")
		var frame *FrameError
		if !errors.As(e.err, &frame) || frame.Status != tc.status || e.data != tc.data {
			t.Errorf("%.60q: status %v, data %.200q", tc.send, e.err, e.data)
		}
		if err := wait(t, closed, "ConnClosed"); err != error(frame) {
			t.Errorf("closed: %v", err)
		}
		reason := DropFraming
		if tc.status != 400 {
			reason = DropTooLarge
		}
		if len(events) > 0 || d.of(reason) != 1 || d.of(DropFraming)+d.of(DropTooLarge) != 1 {
			t.Errorf("%d more messages, %d errors counted", len(events), d.of(reason))
		}
	}
}

func TestTCPLimits(t *testing.T) {
	var d drops
	closed := make(chan error, 10)
	m := start(t, funcs{message: echo, closed: func(_ *Conn, err error) { closed <- err }},
		Options{Limits: Limits{Conns: 3, ConnsPerSource: 2}, MaxDialed: 1, Dropped: d.count})
	l := listen(t, m, TCP, "127.0.0.1:0")
	var kept []net.Conn
	for range 2 {
		nc := connect(t, l)
		io.WriteString(nc, msg("a", 0))
		expect(t, nc, msg("a", 0))
		kept = append(kept, nc)
	}
	refused := connect(t, l)
	if n, err := refused.Read(make([]byte, 1)); err == nil {
		t.Errorf("read %d", n)
	}
	if d.of(DropSourceLimit) != 1 {
		t.Error("not counted")
	}
	// Dialed connections are our own doing and count only in all.
	other, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := m.Dial(t.Context(), TCP, other.Addr().(*net.TCPAddr).AddrPort()); err != nil {
		t.Fatal(err)
	}
	third, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	if _, err := m.Dial(t.Context(), TCP, third.Addr().(*net.TCPAddr).AddrPort()); !errors.Is(err, ErrLimit) || d.of(DropConnLimit) != 1 {
		t.Errorf("Dial: %v", err)
	}
	// A place that is given up can be had again.
	kept[0].Close()
	wait(t, closed, "ConnClosed")
	nc := connect(t, l)
	io.WriteString(nc, msg("b", 0))
	expect(t, nc, msg("b", 0))
	if len(m.Conns()) != 3 {
		t.Errorf("%d connections", len(m.Conns()))
	}
}

func TestSource(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1:5060":              "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:5060": "2001:db8:1:2::",
		"[fe80::1%3]:5060":            "fe80::1",
	} {
		if got := source(netip.MustParseAddrPort(in)).String(); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestDial(t *testing.T) {
	type received struct {
		data string
		flow Flow
	}
	got := make(chan received, 100)
	server := start(t, funcs{message: echo}, Options{})
	l := listen(t, server, TCP, "127.0.0.1:0")
	m := start(t, funcs{message: func(in *Inbound) { got <- received{string(in.Data), in.Flow} }}, Options{})
	// All at once, and one that has no time.
	late, cancel := context.WithCancel(t.Context())
	cancel()
	var wg sync.WaitGroup
	flows := make([]Flow, 20)
	for i := range flows {
		wg.Go(func() {
			var err error
			if flows[i], err = m.Dial(t.Context(), TCP, l.Addr()); err != nil {
				t.Error(err)
			}
		})
	}
	if f, err := m.Dial(late, TCP, l.Addr()); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("Dial gave %+v, %v", f, err)
	}
	wg.Wait()
	for _, f := range flows {
		if f != flows[0] || f.Listener != nil || f.Remote != l.Addr() {
			t.Errorf("flow %+v, the first is %+v", f, flows[0])
		}
	}
	if n := len(m.Conns()); n != 1 {
		t.Errorf("%d connections", n)
	}
	if err := flows[0].Send([]byte(msg("a", 7))); err != nil {
		t.Fatal(err)
	}
	if r := wait(t, got, "the echo"); r.data != msg("a", 7) || r.flow != flows[0] {
		t.Errorf("got %+v", r)
	}
	// Closing lets what is queued out, and the next dial makes a new connection.
	flows[0].Send([]byte(msg("last", 40_000)))
	flows[0].Conn.Close()
	if err := flows[0].Send([]byte("x")); !errors.Is(err, ErrClosed) {
		t.Errorf("sending: %v", err)
	}
	wait(t, flows[0].Conn.Done(), "the end")
	f, err := m.Dial(t.Context(), TCP, l.Addr())
	if err != nil || f.Conn == flows[0].Conn {
		t.Errorf("Dial gave %+v, %v", f, err)
	}

	nobody, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	addr := nobody.Addr().(*net.TCPAddr).AddrPort()
	if _, err := m.Dial(t.Context(), TCP, addr); err == nil || !strings.Contains(err.Error(), addr.String()) {
		t.Errorf("Dial: %v", err)
	}
	if _, err := m.Dial(t.Context(), WS, addr); !errors.Is(err, errUnsupported) {
		t.Errorf("Dial: %v", err)
	}
}

func TestReadBufferShrinks(t *testing.T) {
	r := reader{c: &Conn{m: NewManager(funcs{}, Options{}), account: new(account)}, buf: make([]byte, minRead)}
	for r.end = len(r.buf); len(r.buf) < 64<<10; r.end = len(r.buf) {
		r.buf[0] = 'x'
		before := len(r.buf)
		r.compact(64 << 10)
		if len(r.buf) != 2*before || r.buf[0] != 'x' || r.end != before {
			t.Fatalf("from %d to %d", before, len(r.buf))
		}
	}
	// What is left of what came has no more room than it needs.
	r.start = r.end - 5000
	r.compact(64 << 10)
	if len(r.buf) != 8<<10 || r.start != 0 || r.end != 5000 {
		t.Errorf("for 5000 bytes the buffer has %d", len(r.buf))
	}
	r.start = r.end
	r.compact(64 << 10)
	if len(r.buf) != minRead || r.start != 0 || r.end != 0 {
		t.Errorf("at rest the buffer has %d bytes", len(r.buf))
	}
}

func TestIdleConnectionHasOneGoroutine(t *testing.T) {
	m := start(t, funcs{message: echo}, Options{})
	l := listen(t, m, TCP, "127.0.0.1:0")
	before := runtime.NumGoroutine()
	for range 20 {
		nc := connect(t, l)
		io.WriteString(nc, msg("a", 0))
		expect(t, nc, msg("a", 0))
	}
	for deadline := time.Now().Add(patience); runtime.NumGoroutine() > before+20; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines for 20 connections", runtime.NumGoroutine()-before)
		}
	}
}
