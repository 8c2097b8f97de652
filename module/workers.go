package module

import (
	"context"
	"net/netip"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/transport"
)

// maxWorkers is how many requests may wait for something slow at one time.
const maxWorkers = 1024

// workers runs what may block. A goroutine exists only while there is work.
type workers struct {
	slots  chan struct{}
	logger *zap.Logger
}

func newWorkers(logger *zap.Logger) *workers {
	return &workers{slots: make(chan struct{}, maxWorkers), logger: logger}
}

// run runs f on a goroutine of its own. It returns false when too much is waiting already.
func (p *workers) run(f func()) bool {
	select {
	case p.slots <- struct{}{}:
	default:
		p.logger.Warn("too much is waiting for something slow", zap.Int("limit", maxWorkers))
		return false
	}
	go func() {
		defer func() { <-p.slots }()
		f()
	}()
	return true
}

// Go runs f on another goroutine, where it may block. It returns false, and does nothing, when too much is waiting already.
func (a *App) Go(f func()) bool { return a.workers.run(f) }

// Go keeps the request and runs f on another goroutine, where it may block; an error that f returns goes the way of every handler's error. When too
// much is waiting already the request is answered 503 with Retry-After instead.
func (r *Request) Go(w ResponseWriter, f func() error) {
	r.Keep()
	ok := r.server.app.Go(func() {
		if err := guard(w, r, func(ResponseWriter, *Request) error { return f() }); err != nil {
			r.server.fail(w, r, err)
		}
	})
	if !ok {
		res := &Response{Status: 503}
		res.AddHeader("Retry-After", "1")
		_ = w.WriteResponse(res)
	}
}

// Dial makes a connection, unless there is one. It blocks until then.
func (a *App) Dial(n transport.Network, remote netip.AddrPort) error {
	if !n.Reliable() {
		return nil
	}
	_, err := a.engine.Transport.Dial(context.Background(), n, remote)
	return err
}

// LogsAccess tells whether the server has an access log.
func (s *Server) LogsAccess() bool { return s.access != nil }
