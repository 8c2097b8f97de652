package digest

import "sync"

// The table of used nonces has a fixed size, about 6 MB, of which only the part in use is touched.
// When a set is full, the nonce that was made first is dropped; older ones that are not in the set
// then count as stale, because it is not known any more whether they were used.
const (
	tableSets = 1 << 13
	tableWays = 8

	// windowSize is by how much a count may be behind the highest one: requests over UDP arrive in
	// any order.
	windowSize = 64

	// recentUses is the number of counts of which it is remembered which request used them.
	recentUses = 4

	// retransmission is how long a request is retransmitted at most, in milliseconds: 64*T1 (RFC
	// 3261 §17.1).
	retransmission = 32_000
)

// table remembers which counts of which nonces were used.
type table struct {
	sets []set
}

type set struct {
	mu      sync.Mutex
	windows [tableWays]window
}

// window is what is known of a nonce. It slides over the counts, as in IPsec.
type window struct {
	id, made uint64 // made is 0 in an unused window
	seen     uint64 // bit i: count high-i was used
	high     uint32
	recent   [recentUses]use // by count modulo recentUses
}

// use is the request that used a count.
type use struct {
	request uint64
	count   uint32
	at      uint32 // milliseconds, the lower 32 bits
}

func (t *table) init() { t.sets = make([]set, tableSets) }

// use marks a count of a nonce as used.
func (t *table) use(id, made uint64, count uint32, request, now uint64) Use {
	s := &t.sets[id%tableSets]
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.find(id, made)
	if w == nil {
		if w = s.room(made); w == nil {
			return Stale
		}
		*w = window{id: id, made: made, high: count}
	}
	u := use{request, count, uint32(now)}
	old := &w.recent[count%recentUses]
	if w.mark(count) {
		*old = u
		return Accepted
	}
	// Of two that come at once, the later may have looked at the clock earlier: then it is negative.
	if old.count == count && old.request == request && int32(u.at-old.at) <= retransmission {
		return Accepted
	}
	return Replayed
}

// find returns what is known of a nonce, or nil.
func (s *set) find(id, made uint64) *window {
	for i := range s.windows {
		if w := &s.windows[i]; w.id == id && w.made == made {
			return w
		}
	}
	return nil
}

// room returns a window for a nonce that is not known, or nil if it may have been known before: the
// oldest nonce is only ever dropped for a younger one, so no nonce that was dropped is younger than
// the oldest that is left.
func (s *set) room(made uint64) *window {
	oldest := &s.windows[0]
	for i := range s.windows {
		if w := &s.windows[i]; w.made < oldest.made {
			oldest = w
		}
	}
	if made <= oldest.made {
		return nil
	}
	return oldest
}

// mark marks a count as used and reports whether it was new. One that is too far behind counts as
// used.
func (w *window) mark(count uint32) bool {
	if count > w.high {
		w.seen <<= min(count-w.high, windowSize)
		w.high = count
	}
	behind := w.high - count
	if behind >= windowSize || w.seen&(1<<behind) != 0 {
		return false
	}
	w.seen |= 1 << behind
	return true
}
