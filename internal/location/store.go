// Package location is the table that a registrar fills and a proxy reads: which Contacts an address-of-record is bound to
// (RFC 3261 §10). It is kept in memory.
//
// A binding at rest costs its bytes and nothing else: no goroutine, no timer. Look-ups pass over what has expired, and one
// sweeper for the whole store removes it.
package location

import (
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddysip/caddysip/internal/budget"
)

// shardCount is how many locks the table is spread over. It must be a power of two.
const shardCount = 256

// Options configure a store. The hooks run on the goroutine that made the change, without any lock held: they may read the
// store, and must not block.
type Options struct {
	// Budget is where the memory is taken from. It may be nil.
	Budget *budget.Budget

	// OnChange is called with an address-of-record after its bindings have changed in any way but Restore. Calls for changes
	// made at the same time may come in another order than the changes, so it says what to look up, not what to find.
	OnChange func(aor string)
	// OnAdded is called with each binding that was not there before, and OnRemoved with each that a REGISTER or Remove has ended.
	// A refresh is neither.
	OnAdded, OnRemoved func(b *Binding)
	// OnMoved is called with each binding that was refreshed in another way than the one it replaces: with another Call-ID, Path or User-Agent, or over another flow.
	OnMoved func(b *Binding)
	// OnExpired is called with each binding that ended without being refreshed or removed, some seconds after that.
	OnExpired func(b *Binding)
}

// Store holds the bindings of all addresses-of-record. It is safe for concurrent use.
type Store struct {
	options  Options
	start    time.Time
	seed     maphash.Seed
	aors     atomic.Int64
	bindings atomic.Int64
	bytes    atomic.Int64
	interner interner

	close  sync.Once
	done   chan struct{}
	closed chan struct{}

	shards [shardCount]shard
}

// shard is one part of the table, on a cache line of its own.
type shard struct {
	mu       sync.RWMutex
	bindings map[string]*Binding // by AOR: the first of its bindings
	known    map[uint64]struct{} // hashes of the AORs that had bindings and have none
	earliest atomic.Uint32       // nothing expires before this second
	_        [16]byte
}

// New returns an empty store. It must be closed.
func New(o Options) *Store {
	s := &Store{
		options: o,
		start:   time.Now(),
		seed:    maphash.MakeSeed(),
		done:    make(chan struct{}),
		closed:  make(chan struct{}),
	}
	for i := range s.shards {
		s.shards[i].bindings = make(map[string]*Binding)
		s.shards[i].earliest.Store(math.MaxUint32)
	}
	go s.sweep()
	return s
}

// Close stops the sweeper. Look-ups and updates go on to work. No hook may call it.
func (s *Store) Close() error {
	s.close.Do(func() { close(s.done) })
	<-s.closed
	return nil
}

// instant is a time in nanoseconds since 1970 by the store's clock.
type instant int64

// now reads the monotonic clock, counted from the wall clock's time when the store was made: setting the clock must not
// end everybody's registration.
func (s *Store) now() instant { return instant(s.start.UnixNano() + int64(time.Since(s.start))) }

// floor is the second that t is in: what expires then or before has expired.
func (t instant) floor() uint32 { return uint32(t / instant(time.Second)) }

// ceil is the next full second, which lifetimes count from: a phone never gets less than it was promised.
func (t instant) ceil() uint32 { return (t + instant(time.Second) - 1).floor() }

func (s *Store) shard(aor []byte) *shard {
	return &s.shards[maphash.Bytes(s.seed, aor)&(shardCount-1)]
}

// Lookup appends to dst the bindings of a canonical address-of-record that have not expired: the highest q first, and among
// equals the most recently refreshed.
func (s *Store) Lookup(aor []byte, dst []*Binding) []*Binding {
	now := s.now().floor()
	sh := s.shard(aor)
	sh.mu.RLock()
	for b := sh.bindings[string(aor)]; b != nil; b = b.next {
		if b.expires > now {
			dst = append(dst, b)
		}
	}
	sh.mu.RUnlock()
	return dst
}

// Registered tells whether a canonical address-of-record has a binding.
func (s *Store) Registered(aor []byte) bool {
	now := s.now().floor()
	sh := s.shard(aor)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	for b := sh.bindings[string(aor)]; b != nil; b = b.next {
		if b.expires > now {
			return true
		}
	}
	return false
}

// Remaining returns how many seconds the binding has left: what the expires parameter in an answer to REGISTER says.
func (s *Store) Remaining(b *Binding) uint32 {
	now := s.now().ceil()
	return max(b.expires, now) - now
}

// Len returns how many addresses-of-record and bindings there are, those included that have expired in the last seconds.
func (s *Store) Len() (aors, bindings int) {
	return int(s.aors.Load()), int(s.bindings.Load())
}

// split appends the bindings from head on to live or expired. The caller holds the lock.
func split(head *Binding, now uint32, live, expired []*Binding) (_, _ []*Binding) {
	for b := head; b != nil; b = b.next {
		if b.expires > now {
			live = append(live, b)
		} else {
			expired = append(expired, b)
		}
	}
	return live, expired
}

// set makes list, in this order, the bindings of aor, which had before of them. rekey says that one has gone whose texts the
// map's key may be part of; the key must not keep them. The caller holds the lock and has unlinked what has gone.
func (s *Store) set(sh *shard, aor string, list []*Binding, before int, rekey bool) {
	if len(list) == 0 || rekey {
		delete(sh.bindings, aor)
	}
	for i, b := range list {
		b.next = nil
		if i+1 < len(list) {
			b.next = list[i+1]
		}
		if b.expires < sh.earliest.Load() {
			sh.earliest.Store(b.expires)
		}
	}
	if len(list) > 0 {
		sh.bindings[list[0].AOR()] = list[0]
	}
	switch {
	case before == 0 && len(list) > 0:
		s.aors.Add(1)
	case before > 0 && len(list) == 0:
		s.aors.Add(-1)
		s.remember(sh, aor)
	}
	if d := len(list) - before; d != 0 {
		s.bindings.Add(int64(d))
	}
}

// tell calls the hooks. The caller holds no lock.
func (s *Store) tell(aor string, changes []Change, expired []*Binding) {
	if s.options.OnExpired != nil {
		for _, b := range expired {
			s.options.OnExpired(b)
		}
	}
	for i := range changes {
		switch c := &changes[i]; {
		case c.Old == nil && s.options.OnAdded != nil:
			s.options.OnAdded(c.New)
		case c.New == nil && s.options.OnRemoved != nil:
			s.options.OnRemoved(c.Old)
		case c.Old != nil && c.New != nil && s.options.OnMoved != nil && c.New.moved(c.Old):
			s.options.OnMoved(c.New)
		}
	}
	if s.options.OnChange != nil && len(changes)+len(expired) > 0 {
		s.options.OnChange(aor)
	}
}
