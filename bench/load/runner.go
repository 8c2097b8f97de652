//go:build linux

package main

import (
	"bytes"
	"fmt"
	"time"
)

// operation is one thing that phones do again and again with a server, and the
// checks of everything the server says meanwhile. A slot is one phone doing it:
// start sends its first request, receive takes what arrives on any socket and
// calls runner.done when the slot's operation has come to its end, and retry is
// called when the slot has heard nothing for as long as a SIP client waits; it
// says whether there was anything to send again.
type operation interface {
	start(slot int, seq uint32)
	receive(s *socket, data []byte)
	retry(slot int) (sent bool)
	// waiting says what the slot waits for.
	waiting(slot int) string
}

const (
	// RFC 3261 §17.1.1.1: T1, and T2, which bounds the doubling.
	retryFirst = int64(500 * time.Millisecond)
	retryMost  = int64(4 * time.Second)
	// giveUp is shorter than the RFC's 32 s: on loopback a request that had
	// no answer by then is an error worth stopping for.
	giveUp = int64(8 * time.Second)
	// scanEvery is how often slots are looked through for requests to repeat.
	scanEvery = int64(50 * time.Millisecond)
)

// slot is the runner's side of one operation in flight.
type slot struct {
	seq      uint32
	active   bool
	started  int64
	waitFrom int64
	interval int64
}

// runner keeps a number of operations in flight, or starts them at a rate, and
// counts what becomes of them. It is used by one goroutine.
type runner struct {
	loop  *loop
	op    operation
	slots []slot
	idle  []int

	// reliable says that the transport repeats what is lost, so that no phone
	// does (RFC 3261 §17.1.1.2).
	reliable  bool
	issuing   bool
	measuring bool
	limit     int64   // Operations to start in this phase; zero for no limit.
	rate      float64 // Operations a second; zero keeps every slot busy.
	rateFrom  int64
	nextScan  int64

	started int64 // In this phase.
	ended   int64 // In this phase.

	latencies           []uint32 // Microseconds, of what ended while measuring.
	retransmissions     int64
	peerRetransmissions int64
	late                int64
	trying              int64
	challenged          int64 // While measuring.
	errors              int64
	samples             []string
}

// phase runs op on count slots until limit operations have ended, or for
// duration when limit is zero, and then waits for what is in flight. It stops
// early when an operation goes unanswered.
func (r *runner) phase(op operation, count int, limit int64, duration time.Duration) error {
	r.prepare(op, count)
	r.limit = limit
	if err := r.run(func() bool { return limit > 0 || r.loop.now < r.rateFrom+int64(duration) }); err != nil {
		return err
	}
	return r.drain()
}

// prepare makes op the operation under way, with count idle slots.
func (r *runner) prepare(op operation, count int) {
	r.op = op
	// Ids must not come again while a server may remember them, neither from
	// the run before this one nor from the phase before this one.
	first := uint32(time.Now().UnixMilli() % 90_000_000)
	for i := range r.slots {
		first = max(first, r.slots[i].seq)
	}
	r.slots = make([]slot, count)
	r.idle = r.idle[:0]
	for i := count - 1; i >= 0; i-- {
		r.idle = append(r.idle, i)
	}
	r.started, r.ended, r.limit = 0, 0, 0
	for i := range r.slots {
		r.slots[i].seq = first
	}
	r.loop.now = nanotime()
	r.rateFrom = r.loop.now
}

// run starts operations while more says so and the limit is not reached.
func (r *runner) run(more func() bool) error {
	r.issuing = true
	defer func() { r.issuing = false }()
	for more() && (r.limit == 0 || r.ended < r.limit) {
		r.issue()
		if err := r.step(); err != nil {
			return err
		}
	}
	return nil
}

// drain waits until nothing is in flight.
func (r *runner) drain() error {
	r.issuing = false
	for r.started > r.ended {
		if err := r.step(); err != nil {
			return err
		}
	}
	return nil
}

// step sends, waits for datagrams and repeats what was lost.
func (r *runner) step() error {
	r.loop.flush()
	if err := r.loop.wait(int(scanEvery/int64(time.Millisecond)), r.receive); err != nil {
		return err
	}
	if r.loop.now >= r.nextScan {
		r.nextScan = r.loop.now + scanEvery
		return r.scan()
	}
	return nil
}

func (r *runner) receive(s *socket, data []byte) { r.op.receive(s, data) }

// issue starts what is due on idle slots.
func (r *runner) issue() {
	for len(r.idle) > 0 && (r.limit == 0 || r.started < r.limit) {
		if r.rate > 0 && float64(r.started) >= r.rate*float64(r.loop.now-r.rateFrom)/1e9 {
			return
		}
		i := r.idle[len(r.idle)-1]
		r.idle = r.idle[:len(r.idle)-1]
		r.begin(i)
	}
}

func (r *runner) begin(i int) {
	s := &r.slots[i]
	s.seq++
	s.active = true
	s.started, s.waitFrom, s.interval = r.loop.now, r.loop.now, retryFirst
	r.started++
	r.op.start(i, s.seq)
}

// scan retries the slots that have waited too long.
func (r *runner) scan() error {
	for i := range r.slots {
		s := &r.slots[i]
		if !s.active || r.loop.now < s.waitFrom+s.interval {
			continue
		}
		if r.loop.now > s.started+giveUp {
			err := fmt.Errorf("%s did not come within %s (operation %d of the phase; %d were in flight)",
				r.op.waiting(i), time.Duration(giveUp), r.started, r.started-r.ended)
			r.fail("%v", nil, err)
			return err
		}
		s.waitFrom, s.interval = r.loop.now, min(2*s.interval, retryMost)
		if !r.reliable && r.op.retry(i) {
			r.retransmissions++
		}
	}
	return nil
}

// progress says that the server has answered and that the slot's next request
// starts its own wait.
func (r *runner) progress(i int) {
	s := &r.slots[i]
	s.waitFrom, s.interval = r.loop.now, retryFirst
}

// current reports whether a datagram belongs to the operation that the slot is
// at. One that belongs to an earlier operation is late, which is right only if
// something was retransmitted.
func (r *runner) current(i int, seq uint32) bool {
	return i < len(r.slots) && r.slots[i].active && r.slots[i].seq == seq
}

// done ends a slot's operation and, in the closed loop, starts its next.
func (r *runner) done(i int) {
	s := &r.slots[i]
	s.active = false
	r.ended++
	if r.measuring {
		r.latencies = append(r.latencies, uint32((r.loop.now-s.started)/1000))
	}
	if r.issuing && r.rate == 0 && (r.limit == 0 || r.started < r.limit) {
		r.begin(i)
		return
	}
	r.idle = append(r.idle, i)
}

// fail counts a checked error and keeps the first few for the report.
func (r *runner) fail(format string, data []byte, args ...any) {
	r.errors++
	if len(r.samples) >= 3 {
		return
	}
	text := fmt.Sprintf(format, args...)
	if data != nil {
		text += " in:\n" + string(bytes.TrimRight(data, "\r\n"))
	}
	r.samples = append(r.samples, text)
}
