package module

import (
	"runtime/debug"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/engine"
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
		defer func() {
			if v := recover(); v != nil {
				engine.CountPanic()
				p.logger.Error("panic while waiting for something slow", zap.Any("panic", v), zap.ByteString("stack", debug.Stack()))
			}
			<-p.slots
		}()
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

// LogsAccess tells whether the server has an access log.
func (s *Server) LogsAccess() bool { return s.access != nil }
