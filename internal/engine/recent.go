package engine

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/caddysip/caddysip/wire"
)

// A client retransmits a request for 64*T1, 32 seconds, at the longest (RFC 3261 §17.1.1.2). What
// was seen is remembered in two halves, so that it is remembered for one to two times recentTime
// and forgotten without a timer for each.
const (
	recentTime = 40 * time.Second
	recentMax  = 1 << 20 // entries in one half; at the limit the older half is forgotten early
	recentKeep = 1 << 14 // a map of at most so many entries is reused, a larger one freed
)

// recent remembers requests that are answered without a transaction but must act only once.
type recent struct {
	mu                sync.Mutex
	current, previous map[uint64]struct{}
	rotated           time.Time // when current became current
}

// emptied returns an empty map to be used as a half, if possible the one given: after a flood its
// memory is given back.
func emptied(half map[uint64]struct{}) map[uint64]struct{} {
	if half == nil || len(half) > recentKeep {
		return make(map[uint64]struct{})
	}
	clear(half)
	return half
}

// remember remembers key, and reports whether it was remembered already.
func (c *recent) remember(key uint64) bool {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if since := now.Sub(c.rotated); since > recentTime || len(c.current) >= recentMax {
		if since > 2*recentTime {
			c.current = emptied(c.current)
		}
		c.current, c.previous = emptied(c.previous), c.current
		c.rotated = now
	}
	if _, ok := c.previous[key]; ok {
		return true
	}
	if _, ok := c.current[key]; ok {
		return true
	}
	c.current[key] = struct{}{}
	return false
}

// Remember remembers a request, and reports whether the same one, or one that it is a
// retransmission of, was remembered within the last 32 seconds at least.
func (e *Engine) Remember(m *wire.Message) bool {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, b := range [...][]byte{
		m.Via.Branch, m.Via.Host, m.Header(wire.CallID), m.Header(wire.CSeq), m.FromTag(),
	} {
		h.Write(b)
		h.WriteByte(0)
	}
	return e.recent.remember(h.Sum64())
}
