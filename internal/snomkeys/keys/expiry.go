package keys

import (
	"container/heap"
	"time"

	"github.com/caddysip/caddysip/internal/clock"
)

// expiry knows which addresses-of-record have a record that ends, and when the first of them does.
// One timer serves all.
type expiry struct {
	queue  deadlines
	byAOR  map[string]*deadline
	timer  *time.Timer
	clock  *clock.Clock
	closed bool
}

type deadline struct {
	aor   string
	at    time.Time
	index int
}

func (e *expiry) init(c *clock.Clock, f func()) {
	e.byAOR, e.clock = make(map[string]*deadline), c
	e.timer = time.AfterFunc(time.Hour, f)
	e.timer.Stop()
}

func (e *expiry) close() {
	e.closed = true
	e.timer.Stop()
}

// set records when the first of an address-of-record's records ends.
func (e *expiry) set(aor string, p packed) {
	var at time.Time
	for r := range p.all() {
		if !r.Expires.IsZero() && (at.IsZero() || r.Expires.Before(at)) {
			at = r.Expires
		}
	}
	d := e.byAOR[aor]
	switch {
	case at.IsZero() && d == nil:
		return
	case at.IsZero():
		heap.Remove(&e.queue, d.index)
		delete(e.byAOR, aor)
	case d == nil:
		d = &deadline{aor: aor, at: at}
		e.byAOR[aor] = d
		heap.Push(&e.queue, d)
	default:
		d.at = at
		heap.Fix(&e.queue, d.index)
	}
	e.arm()
}

// arm sets the timer.
func (e *expiry) arm() {
	if e.closed || len(e.queue) == 0 {
		e.timer.Stop()
		return
	}
	e.timer.Reset(e.queue[0].at.Sub(e.clock.Now()))
}

// due returns the first address-of-record with a record that has ended.
func (e *expiry) due(now time.Time) (aor string, ok bool) {
	if len(e.queue) == 0 || e.queue[0].at.After(now) {
		return "", false
	}
	return e.queue[0].aor, true
}

// expire drops what has ended. The storage needs no change: it has ended there as well.
func (s *Store) expire() {
	var changed []change
	s.mu.Lock()
	now := s.clock.Now()
	for aor, ok := s.expiry.due(now); ok; aor, ok = s.expiry.due(now) {
		before, after := s.aors[aor].live(time.Time{}), s.aors[aor].live(now)
		s.set(aor, pack(after))
		changed = append(changed, change{aor, changedKeys(before, after)})
	}
	s.expiry.arm()
	s.mu.Unlock()
	s.changed(changed...)
}

// deadlines is a heap, the earliest first.
type deadlines []*deadline

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].at.Before(d[j].at) }

func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].index, d[j].index = i, j
}

func (d *deadlines) Push(x any) {
	x.(*deadline).index = len(*d)
	*d = append(*d, x.(*deadline))
}

func (d *deadlines) Pop() any {
	n := len(*d) - 1
	last := (*d)[n]
	(*d)[n] = nil
	*d = (*d)[:n]
	return last
}
