package delivery

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/budget"
	"github.com/caddysip/caddysip/internal/clock"
	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/internal/sip/uac"
	"github.com/caddysip/caddysip/internal/snomkeys/buttons"
	"github.com/caddysip/caddysip/internal/store"
	"github.com/caddysip/caddysip/storage"
	"github.com/caddysip/caddysip/wire"
)

// DefaultRate is how many messages are sent in a second unless the configuration says otherwise.
const DefaultRate = 500

// Options are what a Delivery needs of the rest of the server. All but Emit and Count must be set.
// The functions must not call the Delivery.
type Options struct {
	// Budget is where the memory is taken from for what is known of phones. It may be nil.
	Budget *budget.Budget

	// Clock is the one that Location has; nil: a clock of its own.
	Clock *clock.Clock

	Location *location.Store
	Client   *uac.Client

	// Wanted calls f with each key of an address-of-record that a phone with this User-Agent should
	// show, and its button.
	Wanted func(aor, userAgent string, f func(key int, b buttons.Button))
	// Flow returns the way to the phone and the address by which it reaches us, and false when
	// there is none until the phone registers again.
	Flow func(b *location.Binding) (f transport.Flow, sentBy wire.HostPort, ok bool)
	// Path returns the Path that requests to the phone have in their Route, nil if there is none
	// (RFC 3327 §5.3).
	Path func(b *location.Binding) []byte

	// Heard is called with each phone that answers, whatever it answers.
	Heard func(b *location.Binding)
	// Emit publishes the events key_acknowledged and key_failed.
	Emit func(name string, data map[string]any)
	// Count counts the outcome of a message: acknowledged, refused, timeout, failed.
	Count func(outcome string)
	// Logger returns where to report errors now.
	Logger func() *zap.Logger
	// Failed is called with each error of the storage.
	Failed func()
}

// Settings are what a configuration says.
type Settings struct {
	Batch bool // several keys in one message
	Rate  int  // messages in a second; 0: DefaultRate

	// What phones that challenge a message are answered with.
	Credentials []uac.Credentials

	// Globs of the User-Agents, in any case, of phones that have such keys, beside those of Snom.
	Phones []string
}

// Delivery brings keys to phones. It is safe for concurrent use.
type Delivery struct {
	options Options
	clock   *clock.Clock
	behind  *store.WriteBehind
	inbox   inbox
	wake    chan struct{}
	stop    chan struct{}
	stopped chan struct{}
	once    sync.Once

	items   []inboxItem // memory of the scheduler, as is request
	request uac.Request

	mu        sync.Mutex
	ready     bool // Use was called
	engine    storage.Engine
	settings  Settings
	users     map[string]*user  // by address-of-record
	devices   map[uint64]*phone // the first of the phones on a device
	linked    atomic.Int64      // how many phones are on one
	leftovers map[uint64]*user  // by device: the user who has a leftover there
	absent    absentees         // users without a phone, the longest absent first
	queues    [queueCount]queue // phones that wait for their turn
	turn      uint              // counts the turns
	retries   retries           // phones that failed
	flights   []*flight         // what was sent in the last moments, the oldest first
	unsure    []*flight         // those to phones that may not answer
	slots     int               // how many of these have no outcome
	pending   int               // how many messages have none
	tokens    float64           // how many messages may be sent now
	refilled  time.Time
	cleaned   time.Time
	notes     notes
	waiters   map[string]chan struct{} // by address-of-record; closed when something has changed

	// Memory that is used again.
	wanted []wanted
	body   []byte
}

// New returns a Delivery that sends nothing until Use is called. It must be closed.
func New(o Options) *Delivery {
	if o.Emit == nil {
		o.Emit = func(string, map[string]any) {}
	}
	if o.Heard == nil {
		o.Heard = func(*location.Binding) {}
	}
	if o.Count == nil {
		o.Count = func(string) {}
	}
	if o.Clock == nil {
		o.Clock = clock.New()
	}
	d := &Delivery{
		options:   o,
		clock:     o.Clock,
		settings:  Settings{Rate: DefaultRate},
		wake:      make(chan struct{}, 1),
		stop:      make(chan struct{}),
		stopped:   make(chan struct{}),
		users:     make(map[string]*user),
		devices:   make(map[uint64]*phone),
		leftovers: make(map[uint64]*user),
		absent:    absentees{max: maxAbsent},
		waiters:   make(map[string]chan struct{}),
	}
	d.behind = store.NewWriteBehind(d.source())
	go d.run()
	return d
}

// Close stops sending and writes down what is known of the phones.
func (d *Delivery) Close() {
	d.once.Do(func() { close(d.stop) })
	<-d.stopped
	d.behind.Close()
}

// Configure puts settings in force.
func (d *Delivery) Configure(s Settings) {
	if s.Rate <= 0 {
		s.Rate = DefaultRate
	}
	d.mu.Lock()
	before := d.settings
	d.settings = s
	credentials := !slices.Equal(s.Credentials, before.Credentials)
	if credentials {
		d.setCredentials()
	}
	d.mu.Unlock()
	if credentials || !slices.Equal(s.Phones, before.Phones) {
		d.inbox.putAll()
	}
	d.wakeUp()
}

// NotifyRegistered says that bindings of an address-of-record were added, removed, or refreshed in
// another way than before: with another Call-ID or User-Agent, or over another flow. It is for the
// path of packets.
func (d *Delivery) NotifyRegistered(aor string) { d.inbox.put(d, aor, registered) }

// NotifyAnswered says that the phone of a Contact has answered another request of the server's with
// a 2xx. A phone that was silent, or seemed to have no keys, is sent its keys at once. The answer
// to a keepAlive does not count for a phone that has said that it has no keys.
func (d *Delivery) NotifyAnswered(aor, contact string, keepAlive bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.users[aor].phoneOf(textHash(contact))
	if p == nil || p.silent == 0 && p.displaced == 0 && (keepAlive || !p.unsupported) {
		return
	}
	if p.displaced != 0 {
		d.reinstate(p)
	}
	p.unsupported, p.silent = false, 0
	d.retries.remove(p)
	d.enqueue(p)
	d.wakeUp()
}

// NotifyOverwritten says that the phone of a Contact may show something else on these keys than
// what it has acknowledged. They are sent again.
func (d *Delivery) NotifyOverwritten(aor, contact string, keys ...int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.users[aor].phoneOf(textHash(contact))
	if p == nil {
		return
	}
	for _, key := range keys {
		if i, found := findKey(p.keys, uint16(key)); found {
			p.keys[i] = keyState{key: p.keys[i].key}
		}
		sent := func(k sentKey) bool { return int(k.key) == key }
		if p.flight != nil && slices.ContainsFunc(p.flight.keys, sent) {
			p.flight.stale = true // which of the two arrives last isn't known
		}
	}
	p.urgent = true
	d.behind.Mark(aor)
	d.enqueue(p)
	d.wakeUp()
}

// Serves reports whether a phone with this User-Agent gets keys.
func (d *Delivery) Serves(userAgent string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hasKeys(userAgent)
}

// Beside returns the other users who are on the same device as a binding.
func (d *Delivery) Beside(b *location.Binding) (aors []string) {
	if d.linked.Load() == 0 {
		return nil // where nobody has keys nothing is locked
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	first := d.devices[deviceOf(b)]
	if first == nil || d.crowded(first) {
		return nil
	}
	for q := first; q != nil; q = q.next {
		if q.user.aor != b.AOR() && q.displaced == 0 {
			aors = append(aors, q.user.aor)
		}
	}
	return aors
}

// Knows reports whether a user has or had phones with keys.
func (d *Delivery) Knows(aor string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.users[aor] != nil
}

// NotifyChanged says that the keys of an address-of-record may have changed. The given ones have,
// and are sent first.
func (d *Delivery) NotifyChanged(aor string, keys ...int) { d.inbox.put(d, aor, changed, keys...) }

// Push sends all keys to all phones of an address-of-record again, including those that refused
// them or seem to have none.
func (d *Delivery) Push(aor string) {
	d.reconcile(aor, again) // at once: whoever waits then waits for the new answers
	d.wakeUp()
}

// Wait returns once all phones of an address-of-record have answered for the newest record of a
// key, or cannot, or ctx ends. Phones that have not are among the outcomes with neither status nor
// error.
func (d *Delivery) Wait(ctx context.Context, aor string, key int) []Outcome {
	for {
		d.mu.Lock()
		outcomes, done := d.outcomes(aor, key)
		if done {
			d.mu.Unlock()
			return outcomes
		}
		c := d.waiters[aor]
		if c == nil {
			c = make(chan struct{})
			d.waiters[aor] = c
		}
		d.mu.Unlock()
		select {
		case <-c:
		case <-ctx.Done():
			return outcomes
		case <-d.stopped:
			return outcomes
		}
	}
}

// wakeWaiters wakes those who wait for an address-of-record. The caller holds the lock.
func (d *Delivery) wakeWaiters(aor string) {
	if c := d.waiters[aor]; c != nil {
		delete(d.waiters, aor)
		close(c)
	}
}
