package proxy

import (
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/transaction"
	"github.com/caddysip/caddysip/internal/transport"
	"github.com/caddysip/caddysip/internal/wire"
	"github.com/caddysip/caddysip/module"
)

// relay makes the request's response context and starts its first branches. The responses arrive later, by callback.
func (p *Proxy) relay(w module.ResponseWriter, r *module.Request, rt *routing) error {
	c := &responseContext{p: p, w: w, r: r, routing: rt}
	if err := r.Transaction(c); err != nil {
		return err
	}
	out := r.Keep()
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.Message().Method == wire.INVITE {
		// At once, so that the caller stops repeating (RFC 3261 §16.2).
		if err := w.WriteResponse(&module.Response{Status: 100, Outbox: out}); err != nil {
			return err
		}
	}
	c.next(out)
	return nil
}

// responseContext is RFC 3261 §16's: one request, and all that it was forwarded to.
type responseContext struct {
	p *Proxy
	w module.ResponseWriter
	r *module.Request
	*routing

	mu        sync.Mutex
	branches  []*branch
	pending   int  // branches without a final response
	over      bool // a final response was sent: only 2xx follow
	stopped   bool // no further target is tried
	cancelled bool
	best      best
}

// branch is one place that the request was forwarded to.
type branch struct {
	c      *responseContext
	target target
	hops   []hop // still to be tried when the one under way fails
	client *transaction.Client
	timerC *transaction.Timer
	rang   bool
	over   bool
	at     hop
}

// next starts the next group of targets; when none is left, the best response is the answer.
func (c *responseContext) next(out *transport.Outbox) {
	for c.pending == 0 && !c.over {
		if len(c.groups) == 0 || c.stopped {
			c.finish(out)
			return
		}
		group := c.groups[0]
		c.groups = c.groups[1:]
		c.pending += len(group)
		for _, t := range group {
			b := &branch{c: c, target: t}
			c.branches = append(c.branches, b)
			b.start(out)
		}
	}
}

// finish sends the final response when all branches have ended (RFC 3261 §16.7 step 6).
func (c *responseContext) finish(out *transport.Outbox) {
	c.over = true
	if c.cancelled && c.best.status < 600 {
		c.best = best{status: 487}
	}
	res := c.best.response()
	if res.Status == 408 && c.r.Message().Method != wire.INVITE {
		return // too late to be of use to anybody (RFC 4320 §4.2)
	}
	res.Outbox = out
	c.write(res)
}

func (c *responseContext) write(res *module.Response) {
	if err := c.w.WriteResponse(res); err != nil {
		c.p.logger.Debug("a response could not be relayed", zap.Int("status", res.Status), zap.Error(err))
	}
}

// OnCancel implements transaction.ServerHandler.
func (c *responseContext) OnCancel(_ *transaction.Server, out *transport.Outbox) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	c.cancelled = true
	c.cancel(out)
	if c.pending == 0 {
		c.finish(out)
	}
}

// OnTerminated implements transaction.ServerHandler.
func (c *responseContext) OnTerminated(*transaction.Server, error) {}

// cancel cancels every branch that has no final response, and tries no further ones (RFC 3261 §16.7 step 10).
func (c *responseContext) cancel(out *transport.Outbox) {
	c.stopped = true
	for _, b := range c.branches {
		switch {
		case b.over:
		case b.client != nil:
			b.client.Cancel(out)
		default: // it is still looking for its way
			b.end()
		}
	}
}

// end takes the branch out of those that a response is awaited from.
func (b *branch) end() {
	if b.over {
		return
	}
	b.over = true
	b.c.pending--
	if b.timerC != nil {
		b.timerC.Stop()
	}
}

// OnResponse implements transaction.ClientHandler (RFC 3261 §16.7).
func (b *branch) OnResponse(_ *transaction.Client, m *wire.Message, out *transport.Outbox) {
	c := b.c
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case m.Status == 100:
	case m.Status < 200:
		b.rang = true
		if b.timerC != nil && !b.over {
			b.timerC.Reset(time.Duration(c.p.Timeout))
		}
		if !c.over {
			c.write(&module.Response{Status: m.Status, Relay: m, Outbox: out, By: b.name()})
		}
	case m.Status < 300:
		b.end()
		if c.over && c.r.Message().Method != wire.INVITE {
			return
		}
		// Every 2xx to an INVITE is a dialog of its own and is relayed (step 5).
		c.over = true
		c.write(&module.Response{Status: m.Status, Relay: m, Outbox: out, By: b.name()})
		c.cancel(out)
	default:
		b.failed(m, m.Status, out)
	}
}

// OnFailure implements transaction.ClientHandler: no answer is like 408, no way to send like 503 (RFC 3261 §16.8, §16.9).
func (b *branch) OnFailure(_ *transaction.Client, err error) {
	b.c.mu.Lock()
	defer b.c.mu.Unlock()
	status := 503
	if err == transaction.ErrTimeout {
		status = 408
	}
	b.failed(nil, status, nil)
}

// OnTerminated implements transaction.ClientHandler.
func (b *branch) OnTerminated(*transaction.Client) {}

// failed takes a final response other than 2xx. m is nil when there was none.
func (b *branch) failed(m *wire.Message, status int, out *transport.Outbox) {
	c := b.c
	if b.over {
		return
	}
	again := status == 503 || status == 408 && m == nil
	if again && len(b.hops) > 0 && !c.stopped {
		b.client = nil
		b.try(out)
		return
	}
	b.end()
	c.best.consider(m, status, b.name())
	switch {
	case status >= 600:
		c.cancel(out) // step 5: nobody else is asked any more
	case c.failover && !again:
		c.stopped = true // a target that answers is not failing
	}
	c.next(out)
}

// name says who answered, for the access log.
func (b *branch) name() string {
	if !b.c.p.server.LogsAccess() {
		return ""
	}
	return b.at.network.String() + "/" + b.at.addr.String()
}
