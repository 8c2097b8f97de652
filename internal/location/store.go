package location

import (
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddysip/caddysip/internal/budget"
	"github.com/caddysip/caddysip/internal/clock"
)

// shardCount is how many locks the table is spread over. It must be a power of two.
const shardCount = 256

// Options configure a store. The hooks run on the goroutine that made the change, without any lock
// held: they may read the store, and must not block.
type Options struct {
	// Budget is where the memory is taken from; nil: no limit.
	Budget *budget.Budget

	// Clock is what bindings expire by; nil: a clock of the store's own.
	Clock *clock.Clock

	// OnChange is called with an address-of-record after its bindings have changed in any way
	// except by Restore. For changes made at the same time the calls may come in another order than
	// the changes: it says what to look up, not what will be found.
	OnChange func(aor string)
	// OnAdded is called with each binding that is new, or no longer superseded. OnRemoved is called
	// with each that a REGISTER or Remove has ended, and with each that is superseded, as it was
	// before. replaced says that another Contact has taken its place. A refresh is neither.
	OnAdded   func(b *Binding)
	OnRemoved func(b *Binding, replaced bool)
	// OnConfirmed is called with a binding that was superseded and has been refreshed, the first
	// time: what seemed to be one device is two.
	OnConfirmed func(b *Binding)
	// OnMoved is called with each binding whose refresh changed more than its time: another
	// Call-ID, Path or User-Agent, or another flow.
	OnMoved func(b *Binding)
	// OnExpired is called with each binding that ended without being refreshed or removed, some
	// seconds after it did. It may be one that was superseded.
	OnExpired func(b *Binding)
}

// Store holds the bindings of all addresses-of-record. It is safe for concurrent use.
type Store struct {
	options  Options
	clock    *clock.Clock
	seed     maphash.Seed
	aors     atomic.Int64
	bindings atomic.Int64
	bytes    atomic.Int64
	interner interner
	contacts contactIndex

	close  sync.Once
	done   chan struct{}
	closed chan struct{}

	shards [shardCount]shard
}

// shard is one part of the table, on a cache line of its own.
type shard struct {
	mu       sync.RWMutex
	bindings map[string]*Binding // by AOR: the first of its bindings
	known    map[uint64]struct{} // hashes of AORs that had bindings and have none
	earliest atomic.Uint32       // nothing expires before this second
	_        [16]byte            // padding
}

// New returns an empty store. It must be closed.
func New(o Options) *Store {
	s := &Store{
		options: o,
		clock:   o.Clock,
		seed:    maphash.MakeSeed(),
		done:    make(chan struct{}),
		closed:  make(chan struct{}),
	}
	if s.clock == nil {
		s.clock = clock.New()
	}
	for i := range s.shards {
		s.shards[i].bindings = make(map[string]*Binding)
		s.shards[i].earliest.Store(math.MaxUint32)
	}
	go s.sweep()
	return s
}

// Close stops the sweeper. Look-ups and updates still work. No hook may call it.
func (s *Store) Close() error {
	s.close.Do(func() { close(s.done) })
	<-s.closed
	return nil
}

// instant is a time in nanoseconds since 1970 by the store's clock.
type instant int64

// now returns the time by the store's clock: setting the system's must not end all registrations.
func (s *Store) now() instant { return instant(s.clock.UnixNano()) }

// WallTime converts a time of a binding, which is by the store's clock, to the system's clock.
func (s *Store) WallTime(t time.Time) time.Time { return s.clock.ToWall(t) }

// floor returns the second that t is in: what expires then or earlier has expired.
func (t instant) floor() uint32 { return uint32(t / instant(time.Second)) }

// ceil returns the next full second, from which lifetimes count: a phone never gets less than it
// was promised.
func (t instant) ceil() uint32 { return (t + instant(time.Second) - 1).floor() }

// shard returns the shard of a canonical address-of-record.
func (s *Store) shard(aor []byte) *shard {
	return &s.shards[maphash.Bytes(s.seed, aor)&(shardCount-1)]
}

// Lookup appends to dst where a canonical address-of-record is called: its bindings that have
// neither expired nor been superseded, the highest q first, and among equals the most recently
// refreshed.
func (s *Store) Lookup(aor []byte, dst []*Binding) []*Binding {
	return s.lookup(aor, dst, false)
}

// All appends to dst what Lookup does, and then the superseded bindings: the device may still send
// requests from there.
func (s *Store) All(aor []byte, dst []*Binding) []*Binding {
	return s.lookup(aor, dst, true)
}

func (s *Store) lookup(aor []byte, dst []*Binding, all bool) []*Binding {
	now := s.now().floor()
	sh := s.shard(aor)
	sh.mu.RLock()
	for b := sh.bindings[string(aor)]; b != nil && (all || !b.Superseded()); b = b.next {
		if b.expires > now {
			dst = append(dst, b)
		}
	}
	sh.mu.RUnlock()
	return dst
}

// Registered reports whether Lookup finds a binding of a canonical address-of-record.
func (s *Store) Registered(aor []byte) bool {
	now := s.now().floor()
	sh := s.shard(aor)
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	for b := sh.bindings[string(aor)]; b != nil && !b.Superseded(); b = b.next {
		if b.expires > now {
			return true
		}
	}
	return false
}

// Remaining returns in how many seconds the binding expires: the expires parameter of an answer to
// REGISTER.
func (s *Store) Remaining(b *Binding) uint32 { return s.Second().Until(b) }

// Second is a time by the store's clock, for Until.
type Second uint32

// Second returns the time. It is for whoever asks about several bindings.
func (s *Store) Second() Second { return Second(s.now().ceil()) }

// Until returns what Remaining returned at that time.
func (t Second) Until(b *Binding) uint32 { return max(b.expires, uint32(t)) - uint32(t) }

// Len returns how many addresses-of-record and bindings there are, including those that have
// expired within the last seconds.
func (s *Store) Len() (aors, bindings int) {
	return int(s.aors.Load()), int(s.bindings.Load())
}

// split appends each binding from head on to live or to expired. The caller holds the shard's lock.
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

// set makes list, in this order, the bindings of aor, which had before of them. rekey says that a
// binding is gone whose texts the map's key may be a part of: the key must not keep them in memory.
// The caller holds the shard's lock and has unlinked what is gone.
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

// notify calls the hooks. The caller holds no lock.
func (s *Store) notify(aor string, changes []Change, expired []*Binding) {
	if s.options.OnExpired != nil {
		for _, b := range expired {
			s.options.OnExpired(b)
		}
	}
	for i := range changes {
		s.notifyChange(&changes[i])
	}
	if s.options.OnChange != nil && len(changes)+len(expired) > 0 {
		s.options.OnChange(aor)
	}
}

func (s *Store) notifyChange(c *Change) {
	o := &s.options
	switch {
	case c.New == nil:
		if o.OnRemoved != nil {
			o.OnRemoved(c.Old, c.Replaced)
		}
	case c.New.Superseded():
		if o.OnRemoved != nil {
			o.OnRemoved(c.Old, true)
		}
	case c.Old == nil || c.Old.Superseded():
		if o.OnAdded != nil {
			o.OnAdded(c.New)
		}
		if c.Old != nil && c.Old.qFlags&confirmed == 0 && c.New.qFlags&confirmed != 0 &&
			o.OnConfirmed != nil {
			o.OnConfirmed(c.New)
		}
	case o.OnMoved != nil && c.New.moved(c.Old):
		o.OnMoved(c.New)
	}
}
