package flight

import (
	"errors"
	"sync"
	"time"

	"github.com/caddysip/caddysip/internal/quota"
)

// ErrFull is returned when a quota or PerFlight is used up.
var ErrFull = errors.New("too much is waiting already")

// How long work that has failed is not tried again: doubled each time, from firstPause to
// lastPause.
const (
	firstPause = time.Second
	lastPause  = 10 * time.Second
)

// Options are the limits of a Group.
type Options struct {
	Flights   *quota.Quota     // work under way
	Waiters   *quota.Quota     // callbacks that wait for a result
	PerFlight int              // callbacks that wait for the same result
	Remember  int              // results that are kept, good and bad
	Keep      time.Duration    // how long a good result is kept; 0: not at all
	Transient func(error) bool // reports errors that are not remembered; nil: none
	Go        func(func())     // runs the work; nil: a goroutine of its own
}

// Group runs work of one kind, at most one run per key at a time. It is safe for concurrent use.
type Group[K comparable, V any] struct {
	Options

	mu      sync.Mutex
	flights map[K]*flight[V]
	results map[K]result[V]
}

type flight[V any] struct{ waiters []waiter[V] }

type waiter[V any] struct {
	user string
	done func(V, error)
}

type result[V any] struct {
	v     V
	err   error
	until time.Time
	pause time.Duration
}

// New returns a group without work.
func New[K comparable, V any](o Options) *Group[K, V] {
	if o.Go == nil {
		o.Go = func(f func()) { go f() }
	}
	return &Group[K, V]{Options: o, flights: make(map[K]*flight[V]), results: make(map[K]result[V])}
}

// Do calls done with the result of work, later and on another goroutine; done must not block. Work
// for the same key that is under way is joined; otherwise work is started, and counted in Flights
// for worker. The callback is counted in Waiters for waiting. If now is true, the result is
// returned at once, a remembered one or ErrFull, and done is not called.
func (g *Group[K, V]) Do(
	key K,
	worker, waiting string,
	work func() (V, error),
	done func(V, error),
) (v V, err error, now bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r, ok := g.results[key]; ok && time.Now().Before(r.until) {
		return r.v, r.err, true
	}
	f := g.flights[key]
	if f != nil && len(f.waiters) >= g.PerFlight || !g.Waiters.Take(waiting) {
		return v, ErrFull, true
	}
	if f == nil {
		if !g.Flights.Take(worker) {
			g.Waiters.Release(waiting)
			return v, ErrFull, true
		}
		f = new(flight[V])
		g.flights[key] = f
		g.Go(func() { g.run(key, f, worker, work) })
	}
	f.waiters = append(f.waiters, waiter[V]{waiting, done})
	return v, nil, false
}

func (g *Group[K, V]) run(key K, f *flight[V], worker string, work func() (V, error)) {
	v, err := work()
	g.mu.Lock()
	delete(g.flights, key)
	g.remember(key, v, err)
	g.mu.Unlock()
	g.Flights.Release(worker)
	for _, w := range f.waiters {
		g.Waiters.Release(w.user)
		w.done(v, err)
	}
}

// remember keeps a result for a while. A failure is kept twice as long as the one before it, if
// that was recent.
func (g *Group[K, V]) remember(key K, v V, err error) {
	now := time.Now()
	old, known := g.results[key]
	r := result[V]{v: v, err: err}
	switch {
	case err != nil && g.Transient != nil && g.Transient(err):
		return
	case err == nil && g.Keep == 0:
		delete(g.results, key)
		return
	case err == nil:
		r.until = now.Add(g.Keep)
	default:
		r.pause = firstPause
		if old.pause > 0 && now.Sub(old.until) < 2*lastPause {
			r.pause = min(2*old.pause, lastPause)
		}
		r.until = now.Add(r.pause)
	}
	if !known && len(g.results) >= g.Remember {
		for other := range g.results { // any
			delete(g.results, other)
			break
		}
	}
	g.results[key] = r
}
