package transport

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/internal/budget"
)

// pipe adopts one end of a net.Pipe and returns the other. A pipe buffers nothing, and its
// deadlines follow the test's clock.
func pipe(t *testing.T, m *Manager) (net.Conn, *Conn) {
	t.Helper()
	ours, theirs := net.Pipe()
	c, err := m.adopt(ours, Flow{Network: TCP, Remote: netip.MustParseAddrPort("192.0.2.1:5060"), Listener: &Listener{m: m}}, "")
	if err != nil {
		t.Fatal(err)
	}
	return theirs, c
}

func TestMessageTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d drops
		var end error
		var got []string
		m := NewManager(funcs{
			message: func(in *Inbound) { got = append(got, string(in.Data)) },
			closed:  func(_ *Conn, err error) { end = err },
		}, Options{Dropped: d.count})
		peer, c := pipe(t, m)
		// Silence between messages costs nothing.
		<-time.After(time.Hour)
		io.WriteString(peer, msg("a", 0))
		<-time.After(time.Hour)
		// A message that takes a little less than it may.
		whole := msg("b", 0)
		io.WriteString(peer, whole[:1])
		<-time.After(29 * time.Second)
		io.WriteString(peer, whole[1:])
		<-time.After(time.Hour)
		io.WriteString(peer, whole+whole[:5])
		// Each byte in time doesn't make the message so.
		begin := time.Now()
		for range 6 {
			<-time.After(4999 * time.Millisecond)
			io.WriteString(peer, "x")
		}
		<-c.Done()
		if took := time.Since(begin); took != 30*time.Second {
			t.Errorf("closed after %v", took)
		}
		synctest.Wait()
		if !errors.Is(end, os.ErrDeadlineExceeded) || d.of(DropMessageTimeout) != 1 || len(got) != 3 {
			t.Errorf("ended with %v after %q", end, got)
		}
		m.Close()
	})
}

// TestMessageTimesApart gives each message a time of its own, which begins with its own first byte.
func TestMessageTimesApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d drops
		got := 0
		m := NewManager(funcs{message: func(*Inbound) { got++ }}, Options{Dropped: d.count})
		defer m.Close()
		peer, c := pipe(t, m)
		first, second := msg("a", 0), msg("b", 0)
		io.WriteString(peer, first[:1])
		<-time.After(20 * time.Second)
		io.WriteString(peer, first[1:]+second[:1]) // in one packet
		<-time.After(20 * time.Second)
		io.WriteString(peer, second[1:])
		synctest.Wait()
		if got != 2 || d.of(DropMessageTimeout) != 0 {
			t.Fatalf("%d messages are read", got)
		}
		// An empty line in two packets leaves nothing behind, neither a deadline nor that there is
		// one.
		io.WriteString(peer, "\r")
		<-time.After(time.Second)
		io.WriteString(peer, "\n")
		<-time.After(time.Hour)
		io.WriteString(peer, first[:1])
		begin := time.Now()
		<-c.Done()
		if took := time.Since(begin); took != 30*time.Second || d.of(DropMessageTimeout) != 1 {
			t.Errorf("closed after %v", took)
		}
	})
}

// TestMessageTimeCrowded has a peer that has its time again after it was not read from.
func TestMessageTimeCrowded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := 0
		m := NewManager(funcs{message: func(*Inbound) { got++ }}, Options{})
		defer m.Close()
		peer, c := pipe(t, m)
		whole := msg("a", 0)
		io.WriteString(peer, whole[:1])
		<-time.After(25 * time.Second)
		for !c.congested() {
			if err := c.queueOwn([]byte(msg("b", 1000))); err != nil {
				t.Fatal(err)
			}
		}
		io.WriteString(peer, whole[1:2])
		<-time.After(8 * time.Second)
		go io.Copy(io.Discard, peer)
		<-time.After(20 * time.Second)
		io.WriteString(peer, whole[2:])
		synctest.Wait()
		if got != 1 {
			t.Error("the message was given up while it was not read")
		}
		peer.Close()
	})
}

func TestIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d drops
		m := NewManager(funcs{message: echo}, Options{Limits: Limits{IdleTimeout: time.Minute}, Dropped: d.count})
		peer, c := pipe(t, m)
		begin := time.Now()
		for range 3 {
			<-time.After(50 * time.Second)
			io.WriteString(peer, "\r\n\r\n")
			expect(t, peer, "\r\n")
		}
		<-time.After(50 * time.Second)
		io.WriteString(peer, msg("a", 0)[:10])
		<-time.After(20 * time.Second)
		io.WriteString(peer, msg("a", 0)[10:])
		expect(t, peer, msg("a", 0))
		<-c.Done()
		if took := time.Since(begin); took != 280*time.Second {
			t.Errorf("closed after %v", took)
		}
		if d.of(DropIdleTimeout) != 1 {
			t.Error("not counted")
		}
		m.Close()
	})
}

// TestDeadReader has a peer that reads nothing: what is too much is refused, what is there waits
// for the write timeout.
func TestDeadReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d drops
		var end error
		b := new(budget.Budget)
		m := NewManager(funcs{closed: func(_ *Conn, err error) { end = err }}, Options{Dropped: d.count, Budget: b})
		peer, c := pipe(t, m)
		begin := time.Now()
		for _, n := range []int{60_000, 60_000, 20_000} {
			if err := c.Flow().Send([]byte(msg("a", n))); err != nil && !errors.Is(err, ErrQueueFull) {
				t.Error(err)
			}
		}
		if n := d.of(DropQueueFull); n != 1 {
			t.Errorf("%d refusals", n)
		}
		<-c.Done()
		if took := time.Since(begin); took != 10*time.Second {
			t.Errorf("closed after %v", took)
		}
		synctest.Wait()
		if !errors.Is(end, os.ErrDeadlineExceeded) || d.of(DropWriteError) != 1 {
			t.Errorf("ended with %v", end)
		}
		peer.Close()
		m.Close()
		if b.Total() != 0 {
			t.Errorf("left: %s", b)
		}
	})
}

func TestWritesKeepOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewManager(funcs{}, Options{})
		peer, c := pipe(t, m)
		var want strings.Builder
		for i := range 100 {
			s := msg(strings.Repeat("i", i), i)
			want.WriteString(s)
			if err := c.Flow().Send([]byte(s)); err != nil {
				t.Fatal(err)
			}
			if i%10 == 0 {
				synctest.Wait() // the writer is at it
			}
		}
		c.Close() // after what is queued
		all, err := io.ReadAll(peer)
		if err != nil || string(all) != want.String() {
			t.Errorf("%d bytes and %v, want %d in order", len(all), err, want.Len())
		}
		synctest.Wait()
		if c.writing || c.next() != nil || c.held != 0 {
			t.Error("a writer or a buffer is left over")
		}
		m.Close()
	})
}

func TestManagerCloseDoesNotWaitForSlowPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewManager(funcs{}, Options{})
		quick, c := pipe(t, m)
		slow, s := pipe(t, m)
		c.Flow().Send([]byte("last words"))
		s.Flow().Send([]byte("last words"))
		heard := make(chan string, 1)
		go func() {
			all, _ := io.ReadAll(quick)
			heard <- string(all)
		}()
		begin := time.Now()
		m.Close()
		if took := time.Since(begin); took != closeTime {
			t.Errorf("Close took %v", took)
		}
		if s := <-heard; s != "last words" {
			t.Errorf("the quick peer got %q", s)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if _, err := m.adopt(slow, Flow{}, ""); !errors.Is(err, ErrClosed) {
			t.Errorf("adopt: %v", err)
		}
	})
}
