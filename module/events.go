package module

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/engine"
	"github.com/caddysip/caddysip/internal/events"
)

// emitter gives events to Caddy's events app, from a goroutine of its own: what is bound to an
// event may take its time, and what is on its way meanwhile waits among the events that are
// remembered. There is one a process, so that over a reload each event is emitted once.
type emitter struct {
	mu    sync.Mutex
	users int // started apps that have an events app beside them
	stop  context.CancelFunc
}

var emitting emitter

// start begins to emit, for one more configuration.
func (e *emitter) start(bus *events.Bus) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.users++; e.users > 1 {
		return
	}
	var ctx context.Context
	ctx, e.stop = context.WithCancel(context.Background())
	go emit(ctx, bus.Subscribe(0))
}

// end ends what start began. It does not wait for a handler that is running.
func (e *emitter) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.users--; e.users == 0 {
		e.stop()
	}
}

func emit(ctx context.Context, s *events.Subscription) {
	defer s.Close()
	for {
		e, err := s.Next(ctx)
		switch err {
		case nil:
		case events.ErrBehind:
			lostEvents.Add(float64(s.Skip()))
			continue
		default:
			return
		}
		if app := inForce(ctx); app != nil {
			app.emit(&e)
		}
	}
}

// emitRetry is how often to look for a configuration in force while the first one is being started.
const emitRetry = 10 * time.Millisecond

// inForce returns the app in force, nil if ctx ends before there is one. Only it may be asked: of
// the events app of a configuration that is being started or stopped, nobody knows whether it has
// its subscriptions, and what is emitted with a context that has ended reaches nobody.
func inForce(ctx context.Context) *App {
	for {
		if active := caddy.ActiveContext(); active.Context != nil {
			if app, err := active.AppIfConfigured("sip"); err == nil && app.(*App).ctx.Err() == nil {
				return app.(*App)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(emitRetry):
		}
	}
}

// emit gives an event to the events app that is configured beside this one, if there is any.
func (a *App) emit(e *events.Event) {
	if a.events == nil || !a.events.ShouldEmit(e.Type) {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			engine.CountPanic()
			a.logger.Error("panic while handling an event", zap.String("event", e.Type), zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
		}
	}()
	data := make(map[string]any, 4)
	for name, v := range e.Map() {
		data[name] = v // handlers may change it
	}
	a.events.Emit(a.ctx, e.Type, data)
}

// findEvents finds out whether anybody may want events.
func (a *App) findEvents() error {
	app, err := a.ctx.AppIfConfigured("events")
	switch {
	case app != nil:
		a.events = app.(*caddyevents.App)
	case err != nil && !errors.Is(err, caddy.ErrNotConfigured):
		return fmt.Errorf("loading the events app: %w", err)
	}
	return nil
}
