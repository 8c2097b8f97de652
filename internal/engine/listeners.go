package engine

import (
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

// DefaultGrace is how long a removed listener is drained: as long as a transaction can live, 64*T1
// (RFC 3261 §17.1.1.2).
const DefaultGrace = 32 * time.Second

// listener is an open listener. One that no generation wants any more drains: for the grace period
// the generation that had it last serves what is under way there and what still arrives.
type listener struct {
	*transport.Listener
	last  *Generation // the generation that serves it while it drains; nil: none wanted it to drain
	timer *time.Timer // ends the grace period; nil unless it drains
}

// ListenError says which of a generation's addresses cannot be listened on, and why.
type ListenError struct {
	Index int // of Generation.Listen
	Err   error
}

// Error implements error.
func (e *ListenError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *ListenError) Unwrap() error { return e.Err }

// openListeners opens the listeners that g wants and that are not open yet. An address may overlap
// with that of a listener which only other generations want: a listener that moves from all
// addresses to one, or back, changes without a gap. The caller holds e.mu.
func (e *Engine) openListeners(g *Generation) error {
	var others []*transport.Listener
	for a, l := range e.listeners {
		if !slices.Contains(g.Listen, a) {
			others = append(others, l.Listener)
		}
	}
	var opened []Address
	g.Listeners = make([]*transport.Listener, len(g.Listen))
	for i, a := range g.Listen {
		l, ok := e.listeners[a]
		if !ok {
			opening, err := e.Transport.Listen(a.Network, a.Addr, others...)
			if err != nil {
				for _, a := range opened {
					e.closeListener(a)
				}
				return &ListenError{i, fmt.Errorf("listening on %s: %w", a, err)}
			}
			l = &listener{Listener: opening}
			e.listeners[a] = l
			opened = append(opened, a)
		}
		g.Listeners[i] = l.Listener
	}
	return nil
}

// applyLimits puts the limits of g in force on its listeners. The caller holds the engine's lock.
func (g *Generation) applyLimits() {
	for i, l := range g.Listeners {
		var limits *transport.Limits
		if g.Limits != nil {
			limits = g.Limits[i]
		}
		l.SetLimits(limits)
	}
}

// undrain stops the draining of those listeners that g wants again. The caller holds e.mu.
func (e *Engine) undrain(g *Generation) {
	for _, a := range g.Listen {
		if l := e.listeners[a]; l.timer != nil {
			l.timer.Stop()
			l.timer = nil
		}
	}
}

// releaseListeners drains or closes the listeners that no generation wants, now that g is off the
// stack. If g was in force they drain. If g was a configuration that failed to load (rollback),
// what it opened is closed at once. When the stack is empty everything is closed. The caller holds
// e.mu.
func (e *Engine) releaseListeners(g *Generation, rollback bool) {
	for a, l := range e.listeners {
		switch wanted := e.wants(a); {
		case len(e.stack) == 0:
			e.closeListener(a)
		case wanted && !rollback:
			l.last = nil
		case wanted || l.timer != nil:
		case !rollback:
			l.last = g
			e.drain(a, l)
		case l.last != nil:
			e.drain(a, l) // it was draining when g took it
		default:
			e.closeListener(a)
		}
	}
}

// wants reports whether any generation on the stack wants a listener at a.
func (e *Engine) wants(a Address) bool {
	return slices.ContainsFunc(e.stack, func(g *Generation) bool {
		return slices.Contains(g.Listen, a)
	})
}

// drain starts the grace period of a listener. The caller holds e.mu.
func (e *Engine) drain(a Address, l *listener) {
	grace := e.stack[len(e.stack)-1].Grace
	var timer *time.Timer
	timer = time.AfterFunc(grace, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if l.timer != timer {
			return // a generation wants it again, or it is closed
		}
		l.timer = nil
		if !e.covered(a) {
			e.closeListener(a)
			e.publishDraining()
			e.Logger().Info("listener closed", zap.Stringer("address", a))
		}
	})
	l.timer = timer
	if !e.covered(a) {
		e.Logger().Info("a listener was removed: what is under way there has time to end",
			zap.Stringer("address", a), zap.Duration("grace_period", grace))
	}
}

// covered reports whether a listener in force also takes what is sent to an address, as one on all
// addresses does. A listener at such an address is not closed: the kernel would lose what is queued
// on its socket.
func (e *Engine) covered(a Address) bool {
	g := e.current.Load()
	return g != nil && slices.ContainsFunc(g.Listeners, func(l *transport.Listener) bool {
		return l.Network() == a.Network && l.Covers(a.Addr)
	})
}

// closeListener closes a listener at once, and its connections. The caller holds e.mu.
func (e *Engine) closeListener(a Address) {
	l := e.listeners[a]
	delete(e.listeners, a)
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	if err := l.Close(); err != nil {
		e.Logger().Error("closing a listener", zap.Stringer("address", a), zap.Error(err))
	}
	e.Transport.CloseOrphans()
}

// publishDraining publishes, for the path of packets, which generation serves each listener that
// the one in force does not have. The caller holds e.mu.
func (e *Engine) publishDraining() {
	draining := make(map[*transport.Listener]*Generation)
	for _, l := range e.listeners {
		if l.last != nil {
			draining[l.Listener] = l.last
		}
	}
	for _, g := range e.stack {
		for _, l := range g.Listeners {
			draining[l] = g
		}
	}
	e.draining.Store(&draining)
}

// serveDraining gives a request to the generation that had its listener last, and returns false if
// there is none.
func (e *Engine) serveDraining(in *transport.Inbound, m *wire.Message) bool {
	draining := e.draining.Load()
	if draining == nil {
		return false
	}
	g, ok := (*draining)[in.Flow.Listener]
	return ok && g.Dispatcher.ServeRequest(in, m)
}
