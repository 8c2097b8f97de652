package module

import (
	"runtime/debug"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/engine"
	"github.com/caddysip/caddysip/internal/quota"
	"github.com/caddysip/caddysip/internal/ratelog"
)

// The pools that requests wait in. Each has goroutines of its own, so that what is slow in one does
// not hold up another.
const (
	PoolAuthentication = "authentication" // asking an authentication provider
	PoolHTTP           = "http"           // asking a web server
)

// What one pool holds. A user, or a source, has its share of both.
const (
	maxWorkers, userWorkers = 256, 32    // that run
	maxQueued, userQueued   = 16384, 512 // that wait until one is free
)

// workers are the pools, by name: a handler that asks for one makes it.
type workers struct {
	logger *zap.Logger
	mu     sync.Mutex
	pools  map[string]*pool
}

func newWorkers(logger *zap.Logger) *workers {
	return &workers{logger: logger, pools: make(map[string]*pool)}
}

func (w *workers) pool(name string) *pool {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.pools[name]
	if p == nil {
		p = &pool{
			name: name, logger: w.logger, refused: refusedTotal.WithLabelValues(name),
			queued: quota.New(maxQueued, userQueued), users: make(map[string]*member),
		}
		w.pools[name] = p
	}
	return p
}

// pool runs what may block. What waits until there is a goroutine for it is a callback; of those
// who wait, each user has a turn after the other.
type pool struct {
	name    string
	logger  *zap.Logger
	full    ratelog.Gate
	refused prometheus.Counter
	queued  *quota.Quota

	mu      sync.Mutex
	running int
	users   map[string]*member // who has something in the pool
	turns   []*member          // with something that may run
}

type member struct {
	who     string
	running int
	waiting []func()
	turn    bool // it is in turns
}

// run runs f on another goroutine, now or later. It returns false, and does nothing, when too much
// is waiting already.
func (p *pool) run(who string, f func()) bool {
	if !p.queued.Take(who) {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.users[who]
	if m == nil {
		m = &member{who: who}
		p.users[who] = m
	}
	m.waiting = append(m.waiting, f)
	p.line(m)
	if p.running < maxWorkers && len(p.turns) > 0 {
		p.running++
		go p.work(p.next())
	}
	return true
}

// line gives a user a turn, if he has something that may run.
func (p *pool) line(m *member) {
	if !m.turn && len(m.waiting) > 0 && (m.running < userWorkers || m.who == "") {
		m.turn = true
		p.turns = append(p.turns, m)
	}
}

// next takes what is to run next. There is something.
func (p *pool) next() (*member, func()) {
	m := p.turns[0]
	f := m.waiting[0]
	p.turns[0], m.waiting[0] = nil, nil
	p.turns, m.waiting = p.turns[1:], m.waiting[1:]
	m.turn = false
	m.running++
	p.line(m)
	p.queued.Give(m.who)
	return m, f
}

// work runs one thing after the other until nothing waits.
func (p *pool) work(m *member, f func()) {
	for {
		p.guard(f)
		p.mu.Lock()
		m.running--
		p.line(m)
		if m.running == 0 && len(m.waiting) == 0 {
			delete(p.users, m.who)
		}
		if len(p.turns) == 0 {
			p.running--
			p.mu.Unlock()
			return
		}
		m, f = p.next()
		p.mu.Unlock()
	}
}

func (p *pool) guard(f func()) {
	defer func() { recovered(p.logger, recover()) }()
	f()
}

// recovered reports a panic on a goroutine of ours; v is nil when there was none.
func recovered(logger *zap.Logger, v any) {
	if v != nil {
		engine.CountPanic()
		logger.Error("panic while waiting for something slow", zap.Any("panic", v), zap.ByteString("stack", debug.Stack()))
	}
}
