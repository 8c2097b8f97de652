package workers

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/metrics"
	"github.com/caddysip/caddysip/internal/quota"
	"github.com/caddysip/caddysip/internal/ratelog"
)

// RefusedTotal counts what Pool.Refuse is called for.
var RefusedTotal = metrics.Counters("waiting_refused_total",
	"Requests that were refused because too many were waiting already, by what for.", "pool")

// The limits of one pool, and of one user or source in it.
const (
	maxWorkers, userWorkers = 256, 32    // functions that run
	maxQueued, userQueued   = 16384, 512 // functions that wait for a goroutine
)

// Pools are pools by name. Each has its own goroutines, so that slow work in one does not hold up
// another.
type Pools struct {
	logger *zap.Logger
	guard  func(f func())
	mu     sync.Mutex
	pools  map[string]*Pool
}

// New returns pools that run each function through guard, which recovers from a panic of it.
func New(logger *zap.Logger, guard func(f func())) *Pools {
	return &Pools{logger: logger, guard: guard, pools: make(map[string]*Pool)}
}

// Pool returns the pool of that name, which is created on first use.
func (ps *Pools) Pool(name string) *Pool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p := ps.pools[name]
	if p == nil {
		p = &Pool{
			name:    name,
			logger:  ps.logger,
			guard:   ps.guard,
			refused: RefusedTotal.WithLabelValues(name),
			queued:  quota.New(maxQueued, userQueued),
			users:   make(map[string]*user),
		}
		ps.pools[name] = p
	}
	return p
}

// Pool runs functions that may block. A waiting function costs no goroutine.
type Pool struct {
	name    string
	logger  *zap.Logger
	guard   func(f func())
	full    ratelog.Gate
	refused prometheus.Counter
	queued  *quota.Quota

	mu      sync.Mutex
	running int
	users   map[string]*user // with functions in the pool
	turns   []*user          // in the order in which they may run a function
}

type user struct {
	name    string
	running int
	waiting []func()
	turn    bool // the user is in turns
}

// Run runs f on another goroutine, now or later, on behalf of a user. An empty name has no limit of
// its own. It returns false, and does nothing, if too much is waiting already.
func (p *Pool) Run(who string, f func()) bool {
	if !p.queued.Take(who) {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	u := p.users[who]
	if u == nil {
		u = &user{name: who}
		p.users[who] = u
	}
	u.waiting = append(u.waiting, f)
	p.giveTurn(u)
	if p.running < maxWorkers && len(p.turns) > 0 {
		p.running++
		go p.work(p.next())
	}
	return true
}

// Refuse counts a request that was refused because Run returned false, and logs it, at most once a
// second.
func (p *Pool) Refuse(fields ...zap.Field) {
	p.refused.Inc()
	p.full.Log(p.logger, zap.WarnLevel, "too much is waiting for something slow",
		append([]zap.Field{zap.String("pool", p.name)}, fields...)...)
}

// giveTurn puts a user at the end of turns, if one of its functions may run. The lock is held.
func (p *Pool) giveTurn(u *user) {
	if !u.turn && len(u.waiting) > 0 && (u.running < userWorkers || u.name == "") {
		u.turn = true
		p.turns = append(p.turns, u)
	}
}

// next takes the next function out of the queue, which is not empty. The lock is held.
func (p *Pool) next() (*user, func()) {
	u := p.turns[0]
	f := u.waiting[0]
	p.turns[0], u.waiting[0] = nil, nil
	p.turns, u.waiting = p.turns[1:], u.waiting[1:]
	u.turn = false
	u.running++
	p.giveTurn(u)
	p.queued.Release(u.name)
	return u, f
}

// work runs one function after the other until none may run.
func (p *Pool) work(u *user, f func()) {
	for {
		p.guard(f)
		p.mu.Lock()
		u.running--
		p.giveTurn(u)
		if u.running == 0 && len(u.waiting) == 0 {
			delete(p.users, u.name)
		}
		if len(p.turns) == 0 {
			p.running--
			p.mu.Unlock()
			return
		}
		u, f = p.next()
		p.mu.Unlock()
	}
}
