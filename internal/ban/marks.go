package ban

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"github.com/caddysip/caddysip/internal/ipset"
)

const markWays = 4

// Marks remembers sources, and users at sources, for a while, in a fixed amount of memory. It is a
// 4-way set-associative table: in a full set, the mark that ends first is replaced. It is safe for
// concurrent use.
type Marks struct {
	seed  maphash.Seed
	start time.Time
	sets  []markSet
}

type markSet struct {
	mu    sync.Mutex
	marks [markWays]mark
}

type mark struct {
	key   uint64
	until time.Duration // since the start
}

// NewMarks returns a table for 4 << bits marks, which takes 72 << bits bytes.
func NewMarks(bits int) *Marks {
	return &Marks{seed: maphash.MakeSeed(), start: time.Now(), sets: make([]markSet, 1<<bits)}
}

// Set marks a user at the source of an address for d; the empty user stands for the source itself.
func (m *Marks) Set(addr netip.Addr, user string, d time.Duration) {
	s, key := m.setOf(addr, user)
	now := time.Since(m.start)
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &s.marks[0]
	for i := range s.marks {
		if s.marks[i].key == key {
			p = &s.marks[i]
			break
		}
		if s.marks[i].until < p.until {
			p = &s.marks[i]
		}
	}
	*p = mark{key, now + d}
}

// Has reports whether a user at the source of an address is marked now.
func (m *Marks) Has(addr netip.Addr, user string) bool {
	s, key := m.setOf(addr, user)
	now := time.Since(m.start)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.marks {
		if s.marks[i].key == key {
			return now < s.marks[i].until
		}
	}
	return false
}

// setOf returns the set of a mark, and its key, which is never 0. The hash is seeded, so that
// nobody can construct marks that share a set.
func (m *Marks) setOf(addr netip.Addr, user string) (*markSet, uint64) {
	var h maphash.Hash
	h.SetSeed(m.seed)
	source := ipset.Source(addr).Addr().As16()
	h.Write(source[:])
	h.WriteString(user)
	key := h.Sum64()
	return &m.sets[key%uint64(len(m.sets))], key | 1<<63
}
