package location

import "slices"

// Range calls f with up to limit addresses-of-record that sort after the given one, in sorted
// order, and with their bindings as by All, until f returns false. A limit of 0 means all. The
// bindings may be kept, but not the slice that holds them.
//
// It is for lists that people read: each call walks the whole table, shard by shard, and holds no
// lock while f runs. What changes meanwhile may or may not be seen.
func (s *Store) Range(after string, limit int, f func(aor string, bindings []*Binding) bool) {
	var bindings []*Binding
	for remaining := limit; limit <= 0 || remaining > 0; {
		aors := s.aorsAfter(after, remaining)
		if len(aors) == 0 {
			return
		}
		for _, aor := range aors {
			after = aor
			bindings = s.All([]byte(aor), bindings[:0])
			if len(bindings) == 0 {
				continue // removed meanwhile: the next round finds another
			}
			if !f(aor, bindings) {
				return
			}
			remaining--
		}
	}
}

// aorsAfter returns the addresses-of-record that sort after the given one, sorted: the first limit
// of them, or all if limit is not positive.
func (s *Store) aorsAfter(after string, limit int) []string {
	var aors []string
	last := "" // once limit are found: the last of them, beyond which nothing is wanted
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.RLock()
		for aor := range sh.bindings {
			if aor > after && (last == "" || aor < last) {
				aors = append(aors, aor)
			}
		}
		sh.mu.RUnlock()
		if limit > 0 && len(aors) > limit {
			slices.Sort(aors)
			clear(aors[limit:])
			aors = aors[:limit]
			last = aors[limit-1]
		}
	}
	slices.Sort(aors)
	return aors
}
