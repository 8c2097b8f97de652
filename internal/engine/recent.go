package engine

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/caddysip/caddysip/wire"
)

// A client repeats a request for 64*T1, 32 seconds, at the longest (RFC 3261 §17.1.1.2). What was seen is remembered in two halves, so
// that it is remembered for one to two times that long and forgotten without a timer for each.
const (
	recentTime = 40 * time.Second
	recentMax  = 1 << 20 // in one half; over it, the older half is forgotten early
	recentKept = 1 << 14 // the room of so many is used again, that of more given back: a flood ends
)

// recent remembers requests that are answered without a transaction but act only once.
type recent struct {
	mu       sync.Mutex
	now, old map[uint64]struct{}
	turned   time.Time
}

// emptied returns an empty half in the place of one.
func emptied(half map[uint64]struct{}) map[uint64]struct{} {
	if half == nil || len(half) > recentKept {
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
	if since := now.Sub(c.turned); since > recentTime || len(c.now) >= recentMax {
		if since > 2*recentTime {
			c.now = emptied(c.now)
		}
		c.now, c.old = emptied(c.old), c.now
		c.turned = now
	}
	if _, ok := c.old[key]; ok {
		return true
	}
	if _, ok := c.now[key]; ok {
		return true
	}
	c.now[key] = struct{}{}
	return false
}

// Remember remembers a request, and reports whether the same one, or one that it is a retransmission
// of, was remembered within the last 32 seconds at least.
func (e *Engine) Remember(m *wire.Message) bool {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, b := range [...][]byte{m.Via.Branch, m.Via.Host, m.Header(wire.CallID), m.Header(wire.CSeq), m.FromTag()} {
		h.Write(b)
		h.WriteByte(0)
	}
	return e.recent.remember(h.Sum64())
}
