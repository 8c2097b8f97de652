package engine

import (
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

// DefaultGrace is how long a listener that was removed goes on: the longest that a transaction lives (RFC 3261 §17.1.1.2, 64*T1).
const DefaultGrace = 32 * time.Second

// listener is an open listener. One that no generation wants any more is draining: what is under way there, and what is still sent there, is
// served for the grace period by the generation that had it last.
type listener struct {
	*transport.Listener
	last  *Generation // whose it was; nil if it has always been wanted
	timer *time.Timer // ends the grace period; nil while a generation wants it
}

// openListeners opens what g wants and is not open yet. An address may overlap with one that only other generations want: a listener
// that is moved from all addresses to one, or the other way, changes without a gap. The caller holds the lock.
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
				return fmt.Errorf("listening on %s: %w", a, err)
			}
			l = &listener{Listener: opening}
			e.listeners[a] = l
			opened = append(opened, a)
		}
		g.Listeners[i] = l.Listener
	}
	return nil
}

// limit puts the limits of g in force on its listeners. The caller holds the lock.
func (g *Generation) limit() {
	for i, l := range g.Listeners {
		var limits *transport.Limits
		if g.Limits != nil {
			limits = g.Limits[i]
		}
		l.SetLimits(limits)
	}
}

// undrain ends the grace period of those listeners that g wants again. The caller holds the lock.
func (e *Engine) undrain(g *Generation) {
	for _, a := range g.Listen {
		if l := e.listeners[a]; l.timer != nil {
			l.timer.Stop()
			l.timer = nil
		}
	}
}

// releaseListeners lets go of the listeners that no generation wants now that g has gone. When g has been in force they leave in peace; what a
// load that failed has opened is closed at once, and so is everything when nothing is left. The caller holds the lock.
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

func (e *Engine) wants(a Address) bool {
	return slices.ContainsFunc(e.stack, func(g *Generation) bool { return slices.Contains(g.Listen, a) })
}

// drain begins the grace period of a listener.
func (e *Engine) drain(a Address, l *listener) {
	grace := e.stack[len(e.stack)-1].Grace
	var timer *time.Timer
	timer = time.AfterFunc(grace, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if l.timer != timer {
			return // somebody wants it again, or it is closed
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
		e.Logger().Info("a listener was removed: what is under way there has time to end", zap.Stringer("address", a), zap.Duration("grace_period", grace))
	}
}

// covered tells whether a listener in force takes what is sent to an address, as one on all addresses does. Such an address is not closed: there is no way
// to do that without losing what just arrives.
func (e *Engine) covered(a Address) bool {
	g := e.current.Load()
	return g != nil && slices.ContainsFunc(g.Listeners, func(l *transport.Listener) bool { return l.Network() == a.Network && l.Covers(a.Addr) })
}

// closeListener closes a listener at once, with its connections. The caller holds the lock.
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

// publishDraining publishes which generation serves the listeners that the one in force doesn't have. The caller holds the lock.
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

// serveDraining gives a request to the generation that had its listener last. False means that nobody has it.
func (e *Engine) serveDraining(in *transport.Inbound, m *wire.Message) bool {
	draining := e.draining.Load()
	if draining == nil {
		return false
	}
	g, ok := (*draining)[in.Flow.Listener]
	return ok && g.Dispatcher.ServeRequest(in, m)
}
