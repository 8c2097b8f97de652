package transport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/internal/budget"
)

// TestUnreadAnswersStopReading has a peer that sends without reading what it is answered: it isn't
// read from any further. When it reads, it gets all its answers.
func TestUnreadAnswersStopReading(t *testing.T) {
	for _, size := range []int{300, 1000, 60_000} {
		synctest.Test(t, func(t *testing.T) {
			b := new(budget.Budget)
			handled := 0
			m := NewManager(funcs{message: func(in *Inbound) { handled++; echo(in) }}, Options{Budget: b})
			peer, c := pipe(t, m)
			one := msg("a", size)
			const n = 500
			go io.WriteString(peer, strings.Repeat(one, n))
			synctest.Wait()
			if most := (ownHighWater+chunkSize)/len(one) + 2; handled > most {
				t.Errorf("%d messages of %d bytes were handled, their answers unread, want %d at most", handled, len(one), most)
			}
			if used := b.Used(budget.Queues); used > ownHighWater+64<<10+chunkSize {
				t.Errorf("%d bytes are queued", used)
			}
			// Slowly, but it reads.
			for range n {
				<-time.After(9 * time.Second)
				expect(t, peer, one)
			}
			synctest.Wait()
			if handled != n {
				t.Errorf("%d messages were handled, want %d", handled, n)
			}
			if used := b.Used(budget.Queues); used != 0 {
				t.Errorf("%d bytes are queued though all was read", used)
			}
			c.Close()
			m.Close()
			if b.Total() != 0 {
				t.Errorf("left: %s", b)
			}
		})
	}
}

// TestDeadPeerThatSends has a peer that sends, never reads, and so is given up, though its reader
// waits.
func TestDeadPeerThatSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(budget.Budget)
		m := NewManager(funcs{message: echo}, Options{Budget: b})
		peer, c := pipe(t, m)
		go io.WriteString(peer, strings.Repeat(msg("a", 5000), 100))
		begin := time.Now()
		<-c.Done()
		if took := time.Since(begin); took != 10*time.Second {
			t.Errorf("closed after %v", took)
		}
		m.Close()
		if b.Total() != 0 {
			t.Errorf("left: %s", b)
		}
	})
}

// TestOwnQueueFull has so much brought about by a peer that it is given up at once: it would have
// to be held.
func TestOwnQueueFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d drops
		m := NewManager(funcs{}, Options{Dropped: d.count})
		defer m.Close()
		peer, c := pipe(t, m)
		defer peer.Close()
		one := []byte(msg("a", 10_000))
		for n := len(one); n <= maxOwn; n += len(one) {
			if err := c.queueOwn(one); err != nil {
				t.Fatalf("after %d bytes: %v", n, err)
			}
		}
		if err := c.queueOwn(one); err != ErrQueueFull || d.of(DropQueueFull) != 1 {
			t.Errorf("over %d bytes: %v", maxOwn, err)
		}
		synctest.Wait()
		select {
		case <-c.Done():
		default:
			t.Error("the connection is open")
		}
	})
}

// sender is one of many.
func sender(i int) netip.Addr { return netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}) }

// TestSlowPhone has everybody flood a phone that reads 20 kB/s for ten minutes: it stays, it is
// answered, and whoever has not used up his share reaches it.
func TestSlowPhone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d drops
		b := new(budget.Budget)
		m := NewManager(funcs{message: func(in *Inbound) {
			in.Outbox.Send(in.Flow, []byte("SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"))
		}}, Options{Dropped: d.count, Budget: b})
		peer, c := pipe(t, m)
		end := time.Now().Add(10 * time.Minute)
		answered := make(chan time.Time, 1)
		found := make(chan time.Time, 1)
		var others sync.WaitGroup
		others.Go(func() { // the phone
			var seen string
			buf := make([]byte, 2000)
			for {
				<-time.After(100 * time.Millisecond)
				n, err := peer.Read(buf)
				if err != nil {
					return
				}
				seen += string(buf[:n])
				if strings.Contains(seen, "200 OK") {
					answered <- time.Now()
					seen = ""
				}
				if strings.Contains(seen, "sip:someone") {
					found <- time.Now()
					seen = ""
				}
				seen = seen[max(0, len(seen)-100):]
			}
		})
		others.Go(func() { // who floods it
			message := []byte(msg("flood", 30_000))
			for i := 0; time.Now().Before(end); i++ {
				_ = c.send(message, sender(i%3))
				<-time.After(10 * time.Millisecond)
			}
		})
		for time.Now().Before(end) {
			<-time.After(20 * time.Second)
			asked := time.Now()
			if err := c.send([]byte(msg("someone", 1500)), sender(100)); err != nil {
				t.Errorf("nobody else reaches the phone: %v", err)
				break
			}
			if took := (<-found).Sub(asked); took > 32*time.Second {
				t.Errorf("the phone reads it after %v", took)
			}
			asked = time.Now()
			go io.WriteString(peer, msg("register", 500))
			if took := (<-answered).Sub(asked); took > 10*time.Second {
				t.Errorf("the phone is answered after %v", took)
			}
		}
		if d.of(DropQueueFull) == 0 || d.of(DropWriteError) != 0 {
			t.Errorf("%d refused, %d write errors", d.of(DropQueueFull), d.of(DropWriteError))
		}
		peer.Close()
		<-c.Done()
		others.Wait()
		m.Close()
		if b.Total() != 0 {
			t.Errorf("left: %s", b)
		}
	})
}

// TestShares sees how much each of several senders may have waiting for one peer.
func TestShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewManager(funcs{}, Options{})
		peer, c := pipe(t, m)
		fill := func(i int, b string) (bytes int) {
			for c.send([]byte(b), sender(i)) == nil {
				bytes += len(b)
			}
			return bytes
		}
		request := msg("a", 900)
		total := 0
		for i, want := range []int{128 << 10, 64 << 10, 32 << 10, 16 << 10} {
			got := fill(i, request)
			if got > want || got < want-3*len(request) {
				t.Errorf("sender %d has %d bytes waiting, want %d", i, got, want)
			}
			total += got
		}
		// What belongs to something that exists has room of its own.
		for i, start := range []string{"SIP/2.0 200 OK", "BYE sip:a SIP/2.0", "ACK sip:a SIP/2.0", "CANCEL sip:a SIP/2.0"} {
			if err := c.send([]byte(start+"\r\n\r\n"), sender(i)); err != nil {
				t.Errorf("%s: %v", start, err)
			}
		}
		total += fill(9, "SIP/2.0 180 Ringing\r\n"+strings.Repeat("X: y\r\n", 100)+"\r\n")
		if total > maxOthers {
			t.Errorf("%d bytes are waiting", total)
		}
		// And so has what the peer has asked for itself.
		if err := c.queueOwn([]byte(msg("own", 10_000))); err != nil {
			t.Error(err)
		}
		peer.Close()
		m.Close()
	})
}

// TestOneSource has 3,000 connections from one source, each in the middle of a long message, or not
// reading: together they hold what a source may, and those of others as much as they want.
func TestOneSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d drops
		b := new(budget.Budget)
		m := NewManager(funcs{message: echo}, Options{Dropped: d.count, Budget: b})
		adopt := func(remote string) (net.Conn, *Conn) {
			ours, theirs := net.Pipe()
			c, err := m.adopt(ours, Flow{Network: TCP, Remote: netip.MustParseAddrPort(remote), Listener: &Listener{m: m}}, "")
			if err != nil {
				t.Fatal(err)
			}
			return theirs, c
		}
		const n = 3000
		long := msg("a", 60_000)
		var peers []net.Conn
		for i := range n {
			peer, _ := adopt(fmt.Sprint("192.0.2.1:", 1000+i))
			peers = append(peers, peer)
			if i%2 == 0 {
				go io.WriteString(peer, long[:50_000])
			} else {
				go io.WriteString(peer, long+long[:50_000])
			}
		}
		synctest.Wait()
		if held := b.Total() - n*connSize; held > maxPerSource+2*n*connAllowance {
			t.Errorf("%d bytes are held", held)
		}
		if d.of(DropMemory) == 0 {
			t.Error("nothing was refused")
		}
		// What others at the same source send as usual works, and everything elsewhere.
		usually, _ := adopt("192.0.2.1:5060")
		go io.WriteString(usually, msg("b", 1500))
		expect(t, usually, msg("b", 1500))
		other, _ := adopt("192.0.2.2:5060")
		go io.WriteString(other, long)
		expect(t, other, long)
		for _, peer := range append(peers, usually, other) {
			peer.Close()
		}
		m.Close()
		if b.Total() != 0 || len(m.conns.accounts) != 0 {
			t.Errorf("left: %s, %d accounts", b, len(m.conns.accounts))
		}
	})
}

// TestConnectionBudget has connections refused when there is no memory for more.
func TestConnectionBudget(t *testing.T) {
	var d drops
	b := new(budget.Budget)
	b.SetCeiling(4 * 4 * connSize) // a quarter of it is for connections
	m := start(t, funcs{message: echo}, Options{Dropped: d.count, Budget: b})
	l := listen(t, m, TCP, "127.0.0.1:0")
	for range 4 {
		nc := connect(t, l)
		io.WriteString(nc, msg("a", 0))
		expect(t, nc, msg("a", 0))
	}
	expectEnd(t, connect(t, l))
	if d.of(DropMemory) != 1 {
		t.Errorf("%d counted", d.of(DropMemory))
	}
	other := listen(t, start(t, funcs{}, Options{}), TCP, "127.0.0.1:0")
	if _, err := m.Dial(t.Context(), TCP, other.Addr()); !errors.Is(err, ErrLimit) {
		t.Errorf("Dial: %v", err)
	}
}
