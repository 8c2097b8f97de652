package simnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func addr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func listenUDP(t *testing.T, h *Host, at string) *UDPConn {
	t.Helper()
	c, err := h.ListenUDP(addr(at))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// arrivals is what a socket gets within a second, each with the time it took.
func arrivals(t *testing.T, c *UDPConn) (got []string) {
	t.Helper()
	start := time.Now()
	_ = c.SetReadDeadline(start.Add(time.Second))
	buf := make([]byte, 100)
	for {
		n, from, err := c.ReadFrom(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %s %s", buf[:n], from, time.Since(start)))
	}
}

// TestSeed sees that a seed decides what is lost, repeated and overtaken, whatever others send
// meanwhile.
func TestSeed(t *testing.T) {
	run := func(seed uint64, beside bool) (got []string) {
		synctest.Test(t, func(t *testing.T) {
			n := New(seed)
			a, b := listenUDP(t, n.Host("192.0.2.1"), "192.0.2.1:5060"), listenUDP(t, n.Host("192.0.2.2"), "192.0.2.2:5060")
			other := listenUDP(t, n.Host("192.0.2.3"), "192.0.2.3:5060")
			n.SetPaths(Path{Delay: 10 * time.Millisecond, Jitter: 5 * time.Millisecond, Loss: 0.3, Duplicate: 0.2, Reorder: 0.2})
			for i := range 100 {
				if beside {
					if _, err := other.WriteTo([]byte("x"), a.LocalAddr()); err != nil {
						t.Error(err)
					}
				}
				if _, err := a.WriteTo(fmt.Appendf(nil, "%02d", i), b.LocalAddr()); err != nil {
					t.Error(err)
				}
			}
			got = arrivals(t, b)
		})
		return got
	}
	first := run(1, false)
	if !slices.Equal(first, run(1, false)) || !slices.Equal(first, run(1, true)) {
		t.Error("the same seed gives other runs")
	}
	if slices.Equal(first, run(2, false)) {
		t.Error("another seed gives the same run")
	}
	if len(first) < 70 || len(first) > 100 {
		t.Errorf("%d of 100 datagrams arrived, with 30%% loss and 20%% repeated", len(first))
	}
	if slices.IsSorted(first) {
		t.Error("none was overtaken")
	}
}

// TestAddresses sees which socket gets a datagram, and which address it is said to have been sent
// to.
func TestAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		server := n.Host("192.0.2.1", "192.0.2.9", "2001:db8::1")
		phone := listenUDP(t, n.Host("192.0.2.2", "2001:db8::2"), "[::]:5060")
		all, one := listenUDP(t, server, "[::]:5060"), listenUDP(t, server, "192.0.2.9:5060")
		var seen []Packet
		n.Tap(func(p Packet) { seen = append(seen, p) })
		buf := make([]byte, 10)
		for _, c := range []struct {
			to   string
			sock *UDPConn
		}{{"192.0.2.1:5060", all}, {"192.0.2.9:5060", one}, {"[2001:db8::1]:5060", all}} {
			if err := phone.WriteDatagram([]byte(c.to), addr(c.to), netip.AddrPort{}); err != nil {
				t.Error(err)
			}
			size, remote, local, err := c.sock.ReadDatagram(buf[:4])
			if err != nil || size != 4 || local != addr(c.to) {
				t.Errorf("sent to %s, read %d bytes for %s: %v", c.to, size, local, err)
			}
			// The answer comes from where the question went.
			if err := c.sock.WriteDatagram([]byte("yes"), remote, local); err != nil {
				t.Error(err)
			}
			if _, remote, _, err := phone.ReadDatagram(buf); err != nil || remote != addr(c.to) {
				t.Errorf("an answer of %s comes from %s: %v", c.to, remote, err)
			}
		}
		if len(seen) != 6 || seen[0].From != addr("192.0.2.2:5060") || seen[0].To != addr("192.0.2.1:5060") || string(seen[0].Data) != "192.0.2.1:5060" {
			t.Errorf("the tap saw %v", seen)
		}
		if _, err := server.ListenUDP(addr("192.0.2.9:5060")); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("an address that is in use: %v", err)
		}
		if _, err := server.ListenUDP(addr("192.0.2.2:5060")); !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Errorf("another host's address: %v", err)
		}
		if err := one.WriteDatagram([]byte("x"), addr("[2001:db8::2]:5060"), netip.AddrPort{}); !errors.Is(err, syscall.ENETUNREACH) {
			t.Errorf("IPv6 from an IPv4 socket: %v", err)
		}
		server.Crash()
		if _, _, _, err := all.ReadDatagram(buf); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a crashed host's socket: %v", err)
		}
		listenUDP(t, server, "192.0.2.9:5060")
	})
}

// connect makes a connection, and returns both of its ends.
func connect(t *testing.T, from, to *Host, at string) (client, server *Conn) {
	t.Helper()
	l, err := to.Listen(addr(at))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := from.Dial(t.Context(), addr(at))
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return c.(*Conn), s.(*Conn)
}

// TestStream sees that a stream arrives whole and in order over a bad path, that writing waits for
// reading, and how it ends.
func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		n.SetPaths(Path{Delay: 20 * time.Millisecond, Jitter: 20 * time.Millisecond, Loss: 0.3})
		client, server := connect(t, n.Host("192.0.2.2"), n.Host("192.0.2.1"), "192.0.2.1:5060")
		if client.RemoteAddr().String() != "192.0.2.1:5060" || client.LocalAddr().String() != server.RemoteAddr().String() {
			t.Errorf("%s to %s, accepted from %s", client.LocalAddr(), client.RemoteAddr(), server.RemoteAddr())
		}
		var sent strings.Builder
		for i := range 100_000 {
			fmt.Fprintf(&sent, "%06d\n", i)
		}
		written := false
		go func() {
			if _, err := io.WriteString(client, sent.String()); err != nil {
				t.Error(err)
			}
			written = true
			_ = client.CloseWrite()
		}()
		time.Sleep(time.Minute)
		if written {
			t.Error("a writer doesn't wait for a reader")
		}
		got, err := io.ReadAll(server)
		if err != nil || string(got) != sent.String() {
			t.Errorf("%d bytes of %d arrived as they were sent: %v", len(got), sent.Len(), err)
		}
		// The other way is still open.
		if _, err := io.WriteString(server, "thanks"); err != nil {
			t.Error(err)
		}
		server.Close()
		if got, err := io.ReadAll(client); err != nil || string(got) != "thanks" {
			t.Errorf("%q came back: %v", got, err)
		}
		if _, err := client.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("writing after CloseWrite: %v", err)
		}
		client.Close()
	})
}

// TestBroken sees how connections end that do not end well.
func TestBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		n.SetPaths(Path{Delay: 20 * time.Millisecond})
		a, b := n.Host("192.0.2.2"), n.Host("192.0.2.1")
		buf := make([]byte, 10)
		reset := func(what string, c *Conn) {
			t.Helper()
			time.Sleep(time.Second)
			if _, err := c.Read(buf); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%s: %v", what, err)
			}
			c.Close()
		}
		client, server := connect(t, a, b, "192.0.2.1:5060")
		server.Reset()
		reset("a reset", client)

		client, server = connect(t, a, b, "192.0.2.1:5060")
		_, _ = client.Write([]byte("unread"))
		time.Sleep(time.Second)
		server.Close()
		reset("closed without reading", client)

		client, server = connect(t, a, b, "192.0.2.1:5060")
		b.Crash()
		_ = client.SetReadDeadline(time.Now().Add(time.Hour))
		if _, err := client.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a crash was heard of: %v", err)
		}
		_, _ = client.Write([]byte("hello?"))
		reset("sent to a host that has crashed", client)
		if _, err := server.Read(buf); !errors.Is(err, net.ErrClosed) {
			t.Errorf("the crashed end: %v", err)
		}

		// A path that is down delays; for long, it breaks.
		client, server = connect(t, a, b, "192.0.2.1:5060")
		n.SetPath(a.Addr(), b.Addr(), Path{Down: true})
		_, _ = client.Write([]byte("late"))
		time.Sleep(time.Minute)
		n.ResetPath(a.Addr(), b.Addr())
		if size, err := server.Read(buf); err != nil || string(buf[:size]) != "late" {
			t.Errorf("%q: %v", buf[:size], err)
		}
		n.SetPath(a.Addr(), b.Addr(), Path{Down: true})
		_, _ = client.Write([]byte("never"))
		if _, err := client.Read(buf); !errors.Is(err, syscall.ETIMEDOUT) {
			t.Errorf("a path that stays down: %v", err)
		}
		server.Close()
		client.Close()
	})
}

// TestDial sees connections that are not made.
func TestDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		n.SetPaths(Path{Delay: 20 * time.Millisecond})
		a, b := n.Host("192.0.2.2"), n.Host("192.0.2.1")
		start := time.Now()
		if _, err := a.Dial(t.Context(), addr("192.0.2.1:5060")); !errors.Is(err, syscall.ECONNREFUSED) || time.Since(start) > time.Second {
			t.Errorf("nobody listens: %v after %s", err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start = time.Now()
		if _, err := a.Dial(ctx, addr("192.0.2.77:5060")); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 10*time.Second {
			t.Errorf("no such host: %v after %s", err, time.Since(start))
		}
		if _, err := a.Dial(t.Context(), addr("192.0.2.77:5060")); !errors.Is(err, syscall.ETIMEDOUT) {
			t.Errorf("no such host, and no context: %v", err)
		}
		l, err := b.Listen(addr("192.0.2.1:5060"))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		n.SetPath(a.Addr(), b.Addr(), Path{Down: true})
		time.AfterFunc(2*time.Second, func() { n.ResetPath(a.Addr(), b.Addr()) })
		c, err := a.Dial(t.Context(), addr("192.0.2.1:5060"))
		if err != nil {
			t.Fatalf("the path came back: %v", err)
		}
		c.Close()
		if s, err := l.Accept(); err != nil {
			t.Error(err)
		} else if _, err := s.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("closed by the other end: %v", err)
		}
		if len(a.conns) > 0 {
			t.Errorf("%d connections are left", len(a.conns))
		}
	})
}
