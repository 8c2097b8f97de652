package transport

import (
	"net"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// switches is how often this process has waited so far, by any of its threads.
func switches(t *testing.T) int64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return int64(u.Nvcsw) // an int32 where words have 32 bits
}

// TestFullLoadSwitches has a socket send to itself, so that there is always something to read and
// nobody waits for anybody, however fast this machine is. A runtime that is told of each call gives
// its only processor to another thread while one lasts: 110 switches for a thousand datagrams.
// Otherwise there is one, when the runtime looks after its threads.
func TestFullLoadSwitches(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const circling, total = 2 * batchSize, 50_000
	begin, done := make(chan struct{}), make(chan int64, 1)
	var count, before int64
	m := start(t, funcs{message: func(in *Inbound) {
		switch count++; count {
		case 1:
			<-begin
		case 2 * circling:
			before = switches(t)
		case total:
			done <- switches(t) - before
		}
		if count < total {
			echo(in)
		}
	}}, Options{UDPSockets: 1})
	l := listen(t, m, UDP, "127.0.0.1:0")
	for range circling {
		if err := l.Flow(l.Addr()).Send([]byte(msg("a", 300))); err != nil {
			t.Fatal(err)
		}
	}
	close(begin)
	if n := wait(t, done, "the last datagram"); n > total/50 {
		t.Errorf("%d context switches for %d datagrams", n, total)
	}
}

// TestBatchCalls looks at what the batches are cut into for the kernel, and that they are batches
// nevertheless.
func TestBatchCalls(t *testing.T) {
	busy, begin, sizes := make(chan struct{}), make(chan struct{}), make(chan int, batchSize)
	count := 0
	m := start(t, funcs{message: func(in *Inbound) {
		if count++; count == 1 {
			close(busy)
			<-begin
			return
		}
		echo(in)
		sizes <- in.Outbox.batch.n
	}}, Options{UDPSockets: 1})
	l := listen(t, m, UDP, "127.0.0.1:0")
	c := client(t, "127.0.0.1:0")
	sendTo(t, c, l.Addr(), msg("first", 0))
	wait(t, busy, "the first datagram")
	for range batchSize {
		sendTo(t, c, l.Addr(), msg("a", 0))
	}
	close(begin)
	most := 0
	for range batchSize {
		most = max(most, wait(t, sizes, "a datagram"))
	}
	if most <= callSlots {
		t.Errorf("at most %d of %d answers were collected", most, batchSize)
	}

	b := newBatch(l.udp[0])
	for i := range batchSize {
		size := 100
		if i >= 40 {
			size = 25 << 10
		}
		b.add(c.LocalAddr().(*net.UDPAddr).AddrPort(), l.addr, make([]byte, size))
	}
	var calls [][2]int
	b.mmsg = func(_, _ uintptr, from, to int) (int, unix.Errno) {
		calls = append(calls, [2]int{from, to})
		return to - from, 0
	}
	b.flush()
	next := 0
	for _, c := range calls {
		if c[0] != next || c[1] <= c[0] || c[1] > min(c[0]+callSlots, batchSize) || c[0] >= 40 && c[1] > c[0]+2 {
			t.Errorf("the calls were for the slots %v", calls)
		}
		next = c[1]
	}
	if next != batchSize {
		t.Errorf("the calls end at slot %d", next)
	}
}
