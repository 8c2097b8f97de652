package transport

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

// pair returns both ends of a TCP connection, the first of which is read by whoever asked.
func pair(t *testing.T, m *Manager) (net.Conn, *Conn) {
	t.Helper()
	peer, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	f, err := m.Dial(t.Context(), TCP, peer.Addr().(*net.TCPAddr).AddrPort())
	if err != nil {
		t.Fatal(err)
	}
	c, err := peer.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetReadDeadline(time.Now().Add(patience))
	return c, f.Conn
}

// TestDirectWrite sends to a peer that reads nothing for a while, until no more is taken: what was
// taken arrives whole and in order, also what is sent when there is room again, and before the end.
func TestDirectWrite(t *testing.T) {
	m := start(t, funcs{}, Options{})
	peer, c := pair(t, m)
	if c.direct == nil {
		t.Fatal("nothing is written directly")
	}
	var want bytes.Buffer
	send := func(i int) error {
		text := fmt.Sprintf("BYE %d %s\r\n", i, strings.Repeat("x", i*i%9000))
		err := c.flow.Send([]byte(text))
		if err == nil {
			want.WriteString(text)
		}
		return err
	}
	n := 0
	for ; send(n) == nil; n++ {
		if want.Len() > 100<<20 {
			t.Fatal("there is no end of it")
		}
	}
	var got bytes.Buffer
	if _, err := io.CopyN(&got, peer, int64(want.Len())/2); err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		_ = send(n + i)
	}
	c.Close()
	if _, err := io.Copy(&got, peer); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Errorf("%d bytes arrived, and %d were taken", got.Len(), want.Len())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held != 0 || c.own.bytes+c.others.bytes != 0 || c.writing {
		t.Errorf("of %d and %d queued bytes %d are held", c.own.bytes, c.others.bytes, c.held)
	}
}

// TestDirectWriteFromMany has many goroutines send at once.
func TestDirectWriteFromMany(t *testing.T) {
	m := start(t, funcs{}, Options{})
	peer, c := pair(t, m)
	const senders, each = 8, 500
	for s := range senders {
		go func() {
			for i := range each {
				text := fmt.Appendf(nil, "BYE %d %3d %100d\r\n", s, i, 0)
				for c.flow.Send(text) == ErrQueueFull {
					runtime.Gosched() // until the peer has read some
				}
			}
		}()
	}
	var next [senders]int
	line := make([]byte, len(fmt.Sprintf("BYE %d %3d %100d\r\n", 0, 0, 0)))
	for range senders * each {
		if _, err := io.ReadFull(peer, line); err != nil {
			t.Fatal(err)
		}
		var s, i, zero int
		if _, err := fmt.Sscanf(string(line), "BYE %d %d %d", &s, &i, &zero); err != nil || i != next[s] {
			t.Fatalf("%q came after %d, %v", line, next, err)
		}
		next[s]++
	}
}

// TestAnswersNeedNoGoroutine: an answer is written by the goroutine that has read the request.
func TestAnswersNeedNoGoroutine(t *testing.T) {
	m := start(t, funcs{message: echo}, Options{})
	c, err := net.Dial("tcp", listen(t, m, TCP, "127.0.0.1:0").Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	text := []byte(msg("a", 300))
	in := make([]byte, len(text))
	ask := func() {
		if _, err := c.Write(text); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, in); err != nil {
			t.Fatal(err)
		}
	}
	ask()
	if n := testing.AllocsPerRun(200, ask); n >= 1 {
		t.Errorf("an answer makes %v allocations, as a goroutine of its own does", n)
	}
}
