package transport

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long a test waits for what must come. Nothing is asserted about how long it took.
const patience = 20 * time.Second

// funcs is a Handler of functions, which may be nil.
type funcs struct {
	message func(in *Inbound)
	closed  func(c *Conn, err error)
}

func (f funcs) HandleMessage(in *Inbound) {
	if f.message != nil {
		f.message(in)
	}
}

func (f funcs) ConnClosed(c *Conn, err error) {
	if f.closed != nil {
		f.closed(c, err)
	}
}

// echo sends everything back through the outbox.
func echo(in *Inbound) { in.Outbox.Send(in.Flow, append(in.Outbox.Buffer(), in.Data...)) }

// drops counts what Options.Dropped is told.
type drops struct {
	mu sync.Mutex
	n  map[string]int
}

func (d *drops) count(reason string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.n == nil {
		d.n = make(map[string]int)
	}
	d.n[reason]++
}

func (d *drops) of(reason string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.n[reason]
}

// start runs a manager until the test ends.
func start(t testing.TB, h Handler, opts Options) *Manager {
	t.Helper()
	if opts.UDPSockets == 0 {
		opts.UDPSockets = 2
	}
	m := NewManager(h, opts)
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return m
}

// TestMain sees that no goroutine of the package outlives the managers, all of which the tests have
// closed.
func TestMain(m *testing.M) {
	code := m.Run()
	if stacks := leftover(); code == 0 && stacks != "" {
		fmt.Fprintf(os.Stderr, "goroutines are left over:\n%s\n", stacks)
		code = 1
	}
	os.Exit(code)
}

// leftover returns the stacks of all goroutines if one of them is the package's. One that has just
// signalled its end may need a moment to be gone.
func leftover() (stacks string) {
	buf := make([]byte, 1<<20)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); runtime.Gosched() {
		stacks = string(buf[:runtime.Stack(buf, true)])
		if !strings.Contains(stacks, "transport.(*") {
			return ""
		}
	}
	return stacks
}

func listen(t testing.TB, m *Manager, n Network, addr string) *Listener {
	t.Helper()
	l, err := m.Listen(n, netip.MustParseAddrPort(addr))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// client is an unconnected UDP socket, so that it sees where a reply comes from.
func client(t testing.TB, addr string) *net.UDPConn {
	t.Helper()
	ap := netip.MustParseAddrPort(addr)
	c, err := net.ListenUDP(socketFamily("udp", ap.Addr()), net.UDPAddrFromAddrPort(ap))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

func sendTo(t testing.TB, c *net.UDPConn, to netip.AddrPort, data string) {
	t.Helper()
	if _, err := c.WriteToUDPAddrPort([]byte(data), to); err != nil {
		t.Fatal(err)
	}
}

func receiveFrom(t testing.TB, c *net.UDPConn) (string, netip.AddrPort) {
	t.Helper()
	buf := make([]byte, 64<<10)
	n, from, err := c.ReadFromUDPAddrPort(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n]), canonical(from)
}

func wait[T any](t testing.TB, ch <-chan T, what string) (v T) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case v = <-ch:
	case <-timer.C:
		t.Fatalf("waited in vain for %s", what)
	}
	return v
}

// msg makes a request with a body of the given size.
func msg(id string, body int) string {
	return fmt.Sprintf("OPTIONS sip:%s SIP/2.0\r\nCall-ID: %s\r\nContent-Length: %d\r\n\r\n%s", id, id, body, bytes.Repeat([]byte("x"), body))
}
