package location

import (
	"hash/maphash"

	"github.com/caddysip/caddysip/internal/budget"
)

const (
	// knownMax is how many absent users a shard remembers, a quarter of a million in all. When it
	// is full, one is forgotten for each that is added.
	knownMax = 1024
	// knownCost is how many bytes one takes.
	knownCost = 24
)

// Known reports whether an address-of-record had a binding since the store was made: its user is
// absent, not unknown. It may forget one among very many.
func (s *Store) Known(aor []byte) bool {
	sh := s.shard(aor)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	_, ok := sh.known[maphash.Bytes(s.seed, aor)]
	return ok
}

// remember records that the last binding of an address-of-record is gone. The caller holds the
// shard's lock.
func (s *Store) remember(sh *shard, aor string) {
	if sh.known == nil {
		sh.known = make(map[uint64]struct{})
	}
	hash := maphash.String(s.seed, aor)
	if _, ok := sh.known[hash]; ok {
		return
	}
	if len(sh.known) >= knownMax || !s.options.Budget.Take(budget.Bindings, knownCost) {
		if len(sh.known) == 0 {
			return
		}
		for k := range sh.known {
			delete(sh.known, k)
			break
		}
	}
	sh.known[hash] = struct{}{}
}
