package keys

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/budget"
	"github.com/caddysip/caddysip/internal/clock"
	"github.com/caddysip/caddysip/storage"
)

// ErrConflict means that the keys of an address-of-record have another revision than a change
// expects. Nothing was changed.
var ErrConflict = errors.New("the keys were changed meanwhile: read them again")

// ErrFull means that there is no memory for more keys. Nothing was changed.
var ErrFull = errors.New(
	"keys take as much of the memory as they may: raise memory in limits, or delete some",
)

// userCost is how many bytes an address-of-record takes besides its records.
const userCost = 160

func costOf(aor string, p packed) int {
	if p == "" {
		return 0
	}
	return userCost + len(aor) + len(p)
}

// Options configure a store. Each may be nil.
type Options struct {
	// Budget is where the memory is taken from.
	Budget *budget.Budget

	// Clock is what records expire by.
	Clock *clock.Clock

	// OnChange is called with an address-of-record after what its keys should show may have
	// changed. It is called without a lock held, on the goroutine that made the change, and must
	// not block. It says what to look up, not what will be found. keys are those that have changed,
	// none if that is not known.
	OnChange func(aor string, keys ...int)

	// Registered calls f with each address-of-record that has a binding. When profiles change,
	// OnChange is called only for those: the others have no phone to update.
	Registered func(f func(aor string))

	// Logger returns the logger in force.
	Logger func() *zap.Logger
}

// Store holds what all layers say. It is safe for concurrent use. A change is written to the
// storage first and then to memory; reads are from memory alone. An address-of-record is written as
// wire.URI.AppendAOR writes it.
type Store struct {
	options  Options
	clock    *clock.Clock
	profiles atomic.Pointer[profiles]

	// A change of an address-of-record holds its stripe from reading the present state until the
	// change is in the storage and in memory.
	stripes [64]sync.Mutex
	seed    maphash.Seed
	engine  storage.Engine // where to write, nil: nowhere; guarded by each of the stripes, changed with all of them

	mu     sync.RWMutex
	aors   map[string]packed
	unsure map[string]struct{} // those that the storage may have otherwise
	expiry expiry
}

// New returns an empty store, which keeps everything in memory only until SwitchTo is called. It
// must be closed.
func New(o Options) *Store {
	if o.Clock == nil {
		o.Clock = clock.New()
	}
	s := &Store{
		options: o,
		clock:   o.Clock,
		seed:    maphash.MakeSeed(),
		aors:    make(map[string]packed),
		unsure:  make(map[string]struct{}),
	}
	s.profiles.Store(new(profiles))
	s.expiry.init(s.clock, s.expire)
	return s
}

// Close stops the timer. What expires after that is hidden but stays in memory.
func (s *Store) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expiry.close()
}

// get returns the records of an address-of-record.
func (s *Store) get(aor string) packed {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.aors[aor]
}

// set replaces the records of an address-of-record. The caller holds mu.
func (s *Store) set(aor string, p packed) {
	s.options.Budget.Force(budget.Keys, costOf(aor, p)-costOf(aor, s.aors[aor]))
	if p == "" {
		delete(s.aors, aor)
	} else {
		s.aors[aor] = p
	}
	s.expiry.set(aor, p)
}

// change is an address-of-record and its keys that have changed; nil: not known which.
type change struct {
	aor  string
	keys []int
}

func (s *Store) changed(list ...change) {
	if s.options.OnChange == nil {
		return
	}
	for _, c := range list {
		s.options.OnChange(c.aor, c.keys...)
	}
}

// changedKeys returns the keys whose records differ between two lists, which are sorted by key.
func changedKeys(before, after []Stored) (keys []int) {
	for len(before)+len(after) > 0 {
		key := MaxKey
		if len(before) > 0 {
			key = before[0].Key
		}
		if len(after) > 0 {
			key = min(key, after[0].Key)
		}
		of := func(list []Stored) int {
			n := slices.IndexFunc(list, func(r Stored) bool { return r.Key != key })
			if n < 0 {
				n = len(list)
			}
			return n
		}
		n, m := of(before), of(after)
		if !slices.Equal(before[:n], after[:m]) {
			keys = append(keys, key)
		}
		before, after = before[n:], after[m:]
	}
	return keys
}

func (s *Store) logger() *zap.Logger {
	if s.options.Logger == nil {
		return zap.NewNop()
	}
	return s.options.Logger()
}

// Layer returns what one layer says about the keys of an address-of-record, by key. For the profile
// layer that is what those profiles say that match whatever the phone.
func (s *Store) Layer(aor string, l Layer) []Stored {
	var list []Stored
	if l == Profile {
		s.profiles.Load().each(aor, &Phone{}, func(r Stored) { list = append(list, r) })
		slices.SortFunc(list, order)
		return list
	}
	for _, r := range s.get(aor).live(s.clock.Now()) {
		if r.Layer == l {
			r.Expires = s.clock.ToWall(r.Expires)
			list = append(list, r)
		}
	}
	return list
}

// Revision returns a text that changes whenever the admin, user or event layer of an
// address-of-record changes. It survives a restart.
func (s *Store) Revision(aor string) string { return revision(s.get(aor).live(s.clock.Now())) }

func revision(records []Stored) string {
	sum := sha256.Sum256([]byte(pack(records)))
	return hex.EncodeToString(sum[:8])
}

// AORs returns, sorted, up to limit addresses-of-record after the given one about which the admin,
// user or event layer says something. A limit of 0 means all.
func (s *Store) AORs(after string, limit int) []string {
	var list []string
	s.mu.RLock()
	for aor := range s.aors {
		if aor > after {
			list = append(list, aor)
		}
	}
	s.mu.RUnlock()
	slices.Sort(list)
	if limit > 0 && len(list) > limit {
		list = list[:limit]
	}
	return list
}

// Len returns how many addresses-of-record AORs would return, or a few more that have just expired.
func (s *Store) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.aors)
}

// order sorts records by key and layer.
func order(a, b Stored) int {
	if a.Key != b.Key {
		return a.Key - b.Key
	}
	return int(a.Layer) - int(b.Layer)
}
