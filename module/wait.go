package module

import (
	"runtime/debug"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/budget"
	"github.com/caddysip/caddysip/internal/engine"
	"github.com/caddysip/caddysip/internal/sip/transport"
)

// The pools of Request.Go and Background. Each has goroutines of its own, so that what is slow in
// one does not hold up another.
const (
	PoolAuthentication = "authentication" // asking an authentication provider
	PoolHTTP           = "http"           // asking a web server
)

// waitingSize is about what a request takes that waits, beside its text.
const waitingSize = 2 << 10

// Payer returns who a request is counted for where users have shares of something: the user whose
// credentials were checked, else the source. Of a neighbour that is trusted, behind whom there are
// many users, it returns nothing: he has no share.
func (r *Request) Payer() string {
	if user := r.AuthUser(); user != "" {
		return "user " + user
	}
	if r.Trusted() {
		return ""
	}
	return transport.SourceOf(r.in.Flow.Remote).String()
}

// Hold keeps the request while it waits for a callback, and takes the memory for that from what the
// server may hold. release gives it back and must be called once. When ok is false there is no
// memory to be had: release is nil, and the request is answered with Busy. Go and Background do all
// of this.
func (r *Request) Hold() (release func(), ok bool) {
	r.Keep()
	b, n := r.server.app.engine.Budget, len(r.msg.Raw)+waitingSize
	if !b.Take(budget.Waiting, n) {
		return nil, false
	}
	return func() { b.Release(budget.Waiting, n) }, true
}

// Go keeps the request and runs f on another goroutine, where it may block; an error that f returns
// goes the way of every handler's error. pool names what f waits for, as PoolHTTP or a name of the
// handler's own: what is slow in one pool does not hold up another, and what is slow for one user
// leaves room for others. When too much is waiting in the pool already the request is answered 503
// with Retry-After instead.
func (r *Request) Go(w ResponseWriter, pool string, f func() error) {
	if !r.Background(pool, func() {
		if err := guard(w, r, func(ResponseWriter, *Request) error { return f() }); err != nil {
			r.server.fail(w, r, err)
		}
	}) {
		_ = w.WriteResponse(Busy())
	}
}

// Background keeps the request and runs f on another goroutine, where it may block, as Go does, but
// for what the request does not depend on: nothing is answered. It returns false, and f is not run,
// when too much is waiting in the pool already, which is counted and logged.
func (r *Request) Background(pool string, f func()) bool {
	if release, ok := r.Hold(); ok {
		p := r.server.app.workers.Pool(pool)
		if p.Run(r.Payer(), func() { defer release(); f() }) {
			return true
		}
		release()
	}
	r.CountBusy(pool)
	return false
}

// Busy returns the response to a request for which there is no room now (RFC 3261 §21.5.4).
func Busy() *Response {
	res := &Response{Status: 503}
	res.AddHeader("Retry-After", RetryAfter)
	return res
}

// guard calls f for whoever has a request wait for a callback: a panic ends that request alone.
func (a *App) guard(f func()) {
	defer func() {
		if v := recover(); v != nil {
			engine.CountPanic()
			a.logger.Error("panic while waiting for something slow",
				zap.Any("panic", v), zap.ByteString("stack", debug.Stack()))
		}
	}()
	f()
}

// CountBusy counts, and logs now and then, that a request had to be refused because too much waits.
func (r *Request) CountBusy(pool string) {
	r.server.app.workers.Pool(pool).Refuse(
		zap.String("user", r.AuthUser()), zap.Stringer("source", r.Source()))
}
