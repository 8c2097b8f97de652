package location

import "slices"

// Range calls f with up to limit addresses-of-record that come after the given one, in sorted order, and their bindings as
// by Lookup, until f returns false. A limit of 0 means all. The bindings may be kept, the slice that holds them not.
//
// It is for lists that people read: each call goes through the whole table, shard by shard, holding no lock while f runs. What
// changes meanwhile may or may not be seen.
func (s *Store) Range(after string, limit int, f func(aor string, bindings []*Binding) bool) {
	var bindings []*Binding
	for left := limit; limit <= 0 || left > 0; {
		aors := s.aorsAfter(after, left)
		if len(aors) == 0 {
			return
		}
		for _, aor := range aors {
			after = aor
			bindings = s.Lookup([]byte(aor), bindings[:0])
			if len(bindings) == 0 {
				continue // it went in the meantime: the next round fills its place
			}
			if !f(aor, bindings) {
				return
			}
			left--
		}
	}
}

// aorsAfter returns the first addresses-of-record after the given one, sorted: at most limit of them, all if that is not
// positive.
func (s *Store) aorsAfter(after string, limit int) []string {
	var aors []string
	last := "" // with limit of them found, what comes after last is not wanted
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
