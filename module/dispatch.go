package module

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddysip/caddysip/internal/engine"
	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/sip/transaction"
	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

var requests = sync.Pool{New: func() any { return new(Request) }}

// dispatcher is an app as the engine sees it.
type dispatcher App

// ServeRequest implements engine.Dispatcher.
func (d *dispatcher) ServeRequest(in *transport.Inbound, m *wire.Message) bool {
	a := (*App)(d)
	s := a.serverOf(&in.Flow)
	if s == nil {
		return false
	}
	r := requests.Get().(*Request)
	r.msg, r.server = m, s
	r.in = inside.Request{Flow: in.Flow, Outbox: in.Outbox}
	r.writer.r = r
	if s.access != nil {
		r.Received()
	}
	s.run(r)
	if r.kept {
		return true // whoever keeps it lets go of it in the end
	}
	if r.writer.status == 0 {
		s.finished(r, nil)
	}
	r.forget()
	r.reuse()
	requests.Put(r)
	return true
}

// maxRoom is up to how many bytes of an edited request the memory is used for another.
const maxRoom = 4 << 10

// reuse forgets the request, and keeps memory that the next one may need.
func (r *Request) reuse() {
	next := Request{edits: r.edits}
	if r.msg == &r.ownMsg && cap(r.room) <= maxRoom {
		next.ownMsg, next.room = r.ownMsg, r.room
	}
	*r = next
}

// run gives the request to the routes, and what they return to the error routes.
func (s *Server) run(r *Request) {
	w := &r.writer
	err := guard(w, r, s.check)
	if err != nil {
		s.fail(w, r, err)
	}
}

// check refuses what no handler should see, and gives the rest to the routes.
func (s *Server) check(w ResponseWriter, r *Request) error {
	uri, err := wire.ParseURI(r.msg.RequestURI())
	r.uri, r.hasURI = uri, true
	switch {
	case err != nil || len(uri.Headers) > 0: // RFC 3261 §19.1.1: no headers in a Request-URI
		return HandlerError{Status: 400, Reason: "Malformed Request-URI", Err: err}
	case uri.Scheme == wire.OtherScheme:
		return Error(416, nil) // RFC 3261 §8.2.2.1
	}
	return s.serve(w, r)
}

// fail answers a request for which a handler returned an error. What goes wrong in the error routes
// does not go there again.
func (s *Server) fail(w ResponseWriter, r *Request, err error) {
	if s.onError != nil && !r.failed {
		r.failed = true
		err = guard(w, r, func(w ResponseWriter, r *Request) error { return s.onError(w, r, err) })
		if err == nil {
			return
		}
	}
	he := asHandlerError(err)
	level := zapcore.DebugLevel
	if he.Status >= 500 && he.Status < 600 && he.Status != 503 && !clientGone(err) {
		level = zapcore.ErrorLevel
	}
	if c := s.logger.Check(level, "request failed"); c != nil {
		c.Write(zap.String("error", wire.Printable(he.Error(), maxAppended)), zap.Object("request", (*loggedRequest)(r)))
	}
	if w.Status() != 0 {
		return
	}
	res := Response{Status: he.Status, Reason: he.Reason}
	if errors.Is(he.Err, transaction.ErrFull) {
		res.AddHeader("Retry-After", RetryAfter)
	}
	_ = write(w, res)
}

// RetryAfter is how many seconds a client is to wait when there is no room for another transaction
// (RFC 3261 §21.5.4).
const RetryAfter = "5"

// clientGone reports whether an error is only that a client is not there any more, or reads
// nothing: any client can make as many of those as it likes.
func clientGone(err error) bool {
	return errors.Is(err, transport.ErrClosed) || errors.Is(err, transport.ErrQueueFull)
}

// guard runs f and turns a panic into an error: one bad request must not end the server.
func guard(w ResponseWriter, r *Request, f Next) (err error) {
	defer func() {
		if p := recover(); p != nil {
			engine.CountPanic()
			err = Error(500, fmt.Errorf("panic: %v", p))
			r.server.logger.Error("panic while serving a request", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
		}
	}()
	return f(w, r)
}

// allow lists the methods that a user agent here understands, for 405 and OPTIONS (RFC 3261 §11.2).
const allow = "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, MESSAGE, NOTIFY, SUBSCRIBE, INFO, REFER, UPDATE, PRACK, PUBLISH"

// unanswered ends every chain: it answers as a user agent without users would.
func unanswered(w ResponseWriter, r *Request) error {
	if w.Status() != 0 || r.msg.Method == wire.ACK {
		return nil
	}
	r.handler = ""
	self := len(r.URI().User) == 0 && r.server.app.IsLocal(r.URI().Host)
	switch {
	case r.msg.Method == wire.CANCEL || r.InDialog():
		return Respond(w, 481, "") // RFC 3261 §9.2, §12.2.2
	case r.KeyPress() != nil:
		return Respond(w, 200, "")
	case r.msg.Method == wire.OPTIONS && self:
		res := &Response{Status: 200}
		res.AddHeader("Allow", allow)
		res.AddHeader("Accept", "application/sdp")
		res.AddHeader("Supported", "path")
		return w.WriteResponse(res)
	case r.msg.Method == wire.REGISTER, self:
		res := &Response{Status: 405}
		if r.msg.Method == wire.OtherMethod {
			res.Status = 501 // one that nobody here knows (RFC 3261 §21.5.2)
		}
		res.AddHeader("Allow", "OPTIONS")
		return w.WriteResponse(res)
	}
	return Respond(w, 404, "")
}
