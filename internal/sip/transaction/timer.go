package transaction

import (
	"sync"
	"time"
)

const (
	// tick is the resolution of timers. A timer fires up to a tick late and never early.
	tick = 10 * time.Millisecond
	// slots is the number of slots of the wheel. 4096 ticks are 41 s, so no timer of RFC 3261 goes
	// around twice.
	slots = 4096
)

// Timer is a timer of a table. All it costs is memory: there is no goroutine and no runtime timer
// behind it.
type Timer struct {
	next, prev *Timer
	head       **Timer // the list it is in; nil: not pending
	when       int64   // the tick to fire at
	wheel      *wheel
	owner      expirer
}

type expirer interface{ expire() }

// wheel is a hashed timing wheel: a timer is in the slot of its tick modulo the number of slots, so
// that starting and stopping one takes the same time however many there are. Its one goroutine
// sleeps until the next slot that has a timer.
type wheel struct {
	start   time.Time
	wake    chan struct{}
	stop    chan struct{}
	stopped chan struct{}

	mu      sync.Mutex
	slots   [slots]*Timer
	expired *Timer // fire now; a list, so that Stop still finds those that wait for their turn
	done    int64  // every tick up to this one has fired
	alarm   int64  // the tick the goroutine sleeps until
	closed  bool
}

func newWheel() *wheel {
	w := &wheel{
		start:   time.Now().Add(-tick), // so that no time is 0, which means never
		wake:    make(chan struct{}, 1),
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
	}
	go w.run()
	return w
}

// now returns the time since the wheel was made.
func (w *wheel) now() time.Duration { return time.Since(w.start) }

// set starts a timer, or moves it if it is pending, and reports whether it was pending.
func (w *wheel) set(t *Timer, at time.Duration) bool {
	when := int64((at + tick - 1) / tick)
	w.mu.Lock()
	if when <= w.done {
		when = w.done + 1
	}
	pending := t.head != nil
	if pending && t.when == when || w.closed {
		w.mu.Unlock()
		return pending
	}
	if pending {
		t.unlink()
	}
	t.when = when
	t.link(&w.slots[when%slots])
	early := when < w.alarm
	if early {
		w.alarm = when
	}
	w.mu.Unlock()
	if early {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
	return pending
}

// cancel stops a timer and reports whether it was pending.
func (w *wheel) cancel(t *Timer) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if t.head == nil {
		return false
	}
	t.unlink()
	return true
}

func (t *Timer) link(head **Timer) {
	t.head, t.prev, t.next = head, nil, *head
	if t.next != nil {
		t.next.prev = t
	}
	*head = t
}

func (t *Timer) unlink() {
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		*t.head = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	t.head, t.prev, t.next = nil, nil, nil
}

func (w *wheel) run() {
	defer close(w.stopped)
	sleep := time.NewTimer(0)
	defer sleep.Stop()
	for {
		w.mu.Lock()
		w.advance(int64(w.now() / tick))
		next, any := w.next()
		w.alarm = next
		w.mu.Unlock()
		if any {
			sleep.Reset(time.Duration(next)*tick - w.now())
		} else {
			sleep.Stop()
		}
		select {
		case <-sleep.C:
		case <-w.wake:
		case <-w.stop:
			w.finish()
			return
		}
	}
}

// advance fires everything up to the tick now. The lock is held, except while a timer fires.
func (w *wheel) advance(now int64) {
	from := max(w.done+1, now-slots+1)
	w.done = max(w.done, now)
	for i := from; i <= now; i++ {
		for t := w.slots[i%slots]; t != nil; {
			next := t.next
			if t.when <= now {
				t.unlink()
				t.link(&w.expired)
			}
			t = next
		}
		w.fire()
	}
}

func (w *wheel) fire() {
	for w.expired != nil {
		t := w.expired
		t.unlink()
		w.mu.Unlock()
		t.owner.expire()
		w.mu.Lock()
	}
}

// next returns the next tick whose slot is in use. What is in it may be for a later turn of the
// wheel: then the goroutine wakes in vain, once a turn.
func (w *wheel) next() (int64, bool) {
	for i := w.done + 1; i <= w.done+slots; i++ {
		if w.slots[i%slots] != nil {
			return i, true
		}
	}
	return 1<<63 - 1, false
}

// finish fires the timers of transactions, which then report their end, and drops all others.
func (w *wheel) finish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for i := range w.slots {
		for t := w.slots[i]; t != nil; t = w.slots[i] {
			t.unlink()
			if _, ok := t.owner.(transaction); ok {
				t.link(&w.expired)
				w.fire()
			}
		}
	}
}

// close stops the goroutine and waits for it.
func (w *wheel) close() {
	close(w.stop)
	<-w.stopped
}

// afterFunc is a timer made by AfterFunc.
type afterFunc struct {
	Timer
	table *Table
	f     func()
}

func (a *afterFunc) expire() {
	defer a.table.recovered()
	a.f()
}

// AfterFunc calls f once, after d. f runs on the goroutine that serves all timers of the table, so
// it must not block. It is not called after Close.
func (t *Table) AfterFunc(d time.Duration, f func()) *Timer {
	a := &afterFunc{table: t, f: f}
	a.wheel, a.owner = t.wheel, a
	a.Reset(d)
	return &a.Timer
}

// Stop keeps the timer from firing, and reports whether it was pending. If not, it has fired or was
// stopped before; its function may still be running.
func (t *Timer) Stop() bool { return t.wheel.cancel(t) }

// Reset makes the timer fire once, after d from now, and reports whether it was pending.
func (t *Timer) Reset(d time.Duration) bool { return t.wheel.set(t, t.wheel.now()+d) }
