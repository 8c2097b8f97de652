package location

import (
	"math"
	"strings"
	"time"
)

const (
	// sweepInterval is how often the sweeper checks whether something has expired.
	sweepInterval = time.Second
	// sweepShards is how many shards it walks each time. The others have their turn next.
	sweepShards = 64
)

// sweep removes what has expired, until the store is closed. Usually it only compares each shard's
// earliest expiry with the clock: phones refresh long before they expire, so a shard is walked
// about once in a registration's lifetime.
func (s *Store) sweep() {
	defer close(s.closed)
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	var expired []*Binding
	next := 0
	for {
		select {
		case <-s.done:
			return
		case <-ticker.C:
		}
		now := s.now().floor()
		first := next
		for i, budget := 0, sweepShards; i < shardCount && budget > 0; i++ {
			next = (first + i + 1) % shardCount
			sh := &s.shards[(first+i)%shardCount]
			if sh.earliest.Load() > now {
				continue
			}
			budget--
			expired = s.expire(sh, now, expired[:0])
			s.notifyExpired(expired)
			clear(expired)
		}
	}
}

// expire removes from the shard what has expired, and appends it to expired.
func (s *Store) expire(sh *shard, now uint32, expired []*Binding) []*Binding {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.earliest.Store(math.MaxUint32)
	var room [8]*Binding
	for aor, head := range sh.bindings {
		n := len(expired)
		var live []*Binding
		live, expired = split(head, now, room[:0], expired)
		gone := expired[n:]
		for _, b := range gone {
			b.next = nil
			s.releaseBinding(b)
		}
		if len(gone) > 0 {
			s.set(sh, aor, live, len(live)+len(gone), true)
			continue
		}
		for _, b := range live {
			if b.expires < sh.earliest.Load() {
				sh.earliest.Store(b.expires)
			}
		}
	}
	return expired
}

// notifyExpired calls the hooks for bindings that the sweeper removed; those of one AOR are
// adjacent.
func (s *Store) notifyExpired(expired []*Binding) {
	for i := 0; i < len(expired); {
		n := i + 1
		for n < len(expired) && expired[n].AOR() == expired[i].AOR() {
			n++
		}
		s.notify(strings.Clone(expired[i].AOR()), nil, expired[i:n])
		i = n
	}
}
