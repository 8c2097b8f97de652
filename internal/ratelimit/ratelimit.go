package ratelimit

import (
	"fmt"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"github.com/caddysip/caddysip/internal/ipset"
)

// Sources is how many sources a Table follows at a time. It is 2.2 MB large, however many there
// are.
const Sources = sets * ways

const (
	setBits = 14
	sets    = 1 << setBits
	ways    = 8
)

// maxWindow keeps all times within 63 bits.
const maxWindow = 365 * 24 * time.Hour

// Limit is how many events a source may have in a window of time: that many at once, and then one
// each time that the window's fraction for one has passed. With 50 in a second that is a burst of
// 50, and then one every 20 ms.
type Limit struct {
	Events int
	Window time.Duration
}

// Validate returns an error unless the limit can be counted.
func (l Limit) Validate() error {
	switch {
	case l.Events < 1:
		return fmt.Errorf("events must be 1 or more, not %d", l.Events)
	case l.Window < time.Millisecond || l.Window > maxWindow:
		return fmt.Errorf("window must be from 1ms to %dh, not %v", maxWindow/time.Hour, l.Window)
	case l.Window/time.Duration(l.Events) < time.Microsecond:
		return fmt.Errorf("%d events in %v are more than one each microsecond", l.Events, l.Window)
	}
	return nil
}

// Table counts the events of sources. All its methods may be called at the same time.
//
// A source is a hash of 64 bits, with a seed of the table's own, so that nobody can choose sources
// that get in each other's way. The hash picks a set of eight places. When all are taken, the
// source goes whose window is the emptiest, which most often is one whose window has become empty:
// it loses nothing. So sources that send a packet each, however many, take the places of each other
// and not of one that sends many. A source is lost only if between two events of its own a whole
// set is filled with newer ones: who sends r events a second is followed unless others bring
// Sources × r new sources a second, which for 50 a second are more than 6 million.
type Table struct {
	seed  maphash.Seed
	start time.Time
	each  int64 // nanoseconds of the window that an event takes
	most  int64 // nanoseconds that may be taken
	sets  []set
}

type set struct {
	mu     sync.Mutex
	places [ways]place
}

// place is what is known of a source: its key, and when its window will be empty again, in
// nanoseconds since the table was made. The lowest bit of that time says that the limit was
// exceeded since the window was last empty.
type place struct {
	key   uint64
	empty int64
}

const exceeded = 1

// New returns a table for a limit that Validate accepts.
func New(l Limit) *Table {
	each := int64(l.Window) / int64(l.Events) &^ exceeded
	return &Table{
		seed:  maphash.MakeSeed(),
		start: time.Now(),
		each:  each,
		most:  each * int64(l.Events),
		sets:  make([]set, sets),
	}
}

// Key returns the key of a source by its name.
func (t *Table) Key(source string) uint64 { return maphash.String(t.seed, source) }

// AddrKey returns the key of the source of an address.
func (t *Table) AddrKey(addr netip.Addr) uint64 {
	b := ipset.Source(addr).Addr().As16() // IPv4 is mapped
	return maphash.Bytes(t.seed, b[:])
}

// Result is what an event meant.
type Result uint8

const (
	// Within is an event within the limit.
	Within Result = iota
	// Exceeded is the first event over the limit since the source was last at rest for a whole
	// window.
	Exceeded
	// Over is another event over the limit.
	Over
)

// Count counts an event of a source. Events over the limit take nothing of the window.
func (t *Table) Count(key uint64, now time.Time) Result {
	at := t.at(now)
	s := t.set(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.place(key)
	if p.key != key {
		*p = place{key: key}
	}
	if p.empty&^exceeded <= at {
		p.empty = at
	}
	if p.empty&^exceeded+t.each-at > t.most {
		if p.empty&exceeded != 0 {
			return Over
		}
		p.empty |= exceeded
		return Exceeded
	}
	p.empty += t.each
	return Within
}

// Allow counts an event of a source, and reports whether it is within the limit.
func (t *Table) Allow(key uint64, now time.Time) bool { return t.Count(key, now) == Within }

// Wait returns how long it takes until a source's next event is within the limit; 0 when it is now.
// It counts nothing.
func (t *Table) Wait(key uint64, now time.Time) time.Duration {
	at := t.at(now)
	s := t.set(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.place(key)
	if p.key != key || p.empty&^exceeded <= at {
		return 0
	}
	return time.Duration(max(0, p.empty&^exceeded+t.each-at-t.most))
}

// at returns a time as places have it.
func (t *Table) at(now time.Time) int64 { return int64(now.Sub(t.start)) &^ exceeded }

func (t *Table) set(key uint64) *set { return &t.sets[key>>(64-setBits)] }

// place returns the source's place, or the one to take.
func (s *set) place(key uint64) *place {
	first := &s.places[0]
	for i := range s.places {
		p := &s.places[i]
		if p.key == key {
			return p
		}
		if p.empty < first.empty {
			first = p
		}
	}
	return first
}
