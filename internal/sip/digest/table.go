package digest

import (
	"sync"
	"sync/atomic"
)

// The table of used nonces has room for 262,144, which take 96 bytes each while they are good. When
// a set is full, the nonce that was made first is dropped; older ones that are not in the set then
// count as stale, because it is not known any more whether they were used.
const (
	tableSets = 1 << 15
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
	sets    []set
	longest atomic.Uint64 // how long a nonce may be good, in milliseconds
}

type set struct {
	mu      sync.Mutex
	dropped uint64 // when the youngest nonce was made that was dropped
	windows []window
}

// window is what is known of a nonce. It slides over the counts, as in IPsec.
type window struct {
	id, made uint64
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

// use marks a count of a nonce as used, which is good for lifetime.
func (t *table) use(id, made uint64, count uint32, request, now, lifetime uint64) Use {
	longest := t.longest.Load()
	for lifetime > longest && !t.longest.CompareAndSwap(longest, lifetime) {
		longest = t.longest.Load()
	}
	longest = max(longest, lifetime)

	s := &t.sets[id%tableSets]
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.find(id, made)
	if w == nil {
		if w = s.room(made, now-min(longest, now)); w == nil {
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

// room returns a window for a nonce that is not known, or nil if it may have been known before. A
// nonce that was made before since is not good any more.
func (s *set) room(made, since uint64) *window {
	if made <= s.dropped {
		return nil
	}
	var oldest *window
	for i := range s.windows {
		if w := &s.windows[i]; oldest == nil || w.made < oldest.made {
			oldest = w
		}
	}
	switch {
	case oldest != nil && oldest.made < since:
	case len(s.windows) < tableWays:
		s.windows = append(s.windows, window{})
		return &s.windows[len(s.windows)-1]
	case made <= oldest.made:
		return nil
	}
	s.dropped = max(s.dropped, oldest.made)
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
