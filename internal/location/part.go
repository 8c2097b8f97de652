package location

import "strings"

// Parts is how many parts Part divides the store into. They are of about the same size.
const Parts = shardCount

// Part appends to dst the bindings that Lookup finds in one part of the store, 0 to Parts-1. It is
// for going through all phones, a few at a time.
func (s *Store) Part(i int, dst []*Binding) []*Binding {
	now := s.now().floor()
	sh := &s.shards[i]
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	for _, head := range sh.bindings {
		for b := head; b != nil; b = b.next {
			if b.Superseded() || b.expires <= now {
				continue
			}
			dst = append(dst, b)
		}
	}
	return dst
}

// Age returns how many seconds ago the binding was last refreshed.
func (s *Store) Age(b *Binding) uint32 {
	now := s.now().floor()
	return max(now, b.updated) - b.updated
}

// RemoveBinding removes a binding, unless a REGISTER has replaced or removed it meanwhile, and
// reports whether it did.
func (s *Store) RemoveBinding(b *Binding) bool {
	sh := s.shard([]byte(b.AOR()))
	sh.mu.Lock()
	live, expired := split(sh.bindings[b.AOR()], s.now().floor(), nil, nil)
	before, left := len(live)+len(expired), live[:0]
	for _, other := range live {
		if other != b {
			left = append(left, other)
		}
	}
	if len(left)+len(expired) == before {
		sh.mu.Unlock()
		return false
	}
	b.next = nil
	s.releaseBinding(b)
	// What has expired stays until the sweeper removes and reports it.
	s.set(sh, b.AOR(), append(left, expired...), before, true)
	sh.mu.Unlock()
	s.notify(strings.Clone(b.AOR()), []Change{{Old: b}}, nil)
	return true
}
