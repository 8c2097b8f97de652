package module

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/emiago/sipgo/sip"

	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/wire"
)

// Request is a SIP request on its way through the handlers. Its bytes, and all slices its methods
// return, are valid until ServeSIP returns, unless Keep was called.
type Request struct {
	msg      *wire.Message
	in       inside.Request
	server   *Server
	received time.Time // set when something wants it

	uri       wire.URI
	hasURI    bool
	fromURI   *wire.URI // nil: it has not been read
	toURI     *wire.URI
	sip       *sip.Request
	vars      map[string]any
	repl      *caddy.Replacer
	groups    []*group // those of which a route has matched
	groupRoom [4]*group
	keyRoom   [64]byte // for routeIndex
	edits     wire.Edits
	ownMsg    wire.Message // where msg points after an edit or Keep
	room      []byte       // for the bytes of the first edit
	kept      bool
	dropped   bool
	handler   string // the handler that runs, for the access log
	err       *HandlerError
	failed    bool // the server's error routes have it
	writer    responder
	tag       [16]byte
	logs      []logField
	press     *KeyPress // once it is known to be one
	repeated  bool      // what Retransmission found
	asked     bool      // whether it has
}

// Message returns the view of the message, with all changes that handlers have made to it.
func (r *Request) Message() *wire.Message { return r.msg }

// Method returns the method.
func (r *Request) Method() string {
	if m := r.msg.Method; m != wire.OtherMethod {
		return m.String()
	}
	return string(r.msg.MethodName())
}

// Is reports whether the method is the one named.
func (r *Request) Is(method string) bool { return string(r.msg.MethodName()) == method }

// URI returns the Request-URI. It has been found well-formed before any handler runs.
func (r *Request) URI() *wire.URI {
	if !r.hasURI {
		r.uri, _ = wire.ParseURI(r.msg.RequestURI())
		r.hasURI = true
	}
	return &r.uri
}

// Address reads the first address in a header field, and its URI, which is empty when it is
// malformed.
func (r *Request) Address(id wire.HeaderID) (wire.NameAddr, wire.URI) {
	switch id {
	case wire.From:
		return r.From()
	case wire.To:
		return r.To()
	}
	v := r.msg.Values(id)
	if !v.Next() {
		return wire.NameAddr{}, wire.URI{}
	}
	a, err := wire.ParseNameAddr(v.Value())
	if err != nil {
		return a, wire.URI{}
	}
	u, err := wire.ParseURI(a.URI)
	if err != nil {
		return a, wire.URI{}
	}
	return a, u
}

// From returns the From address and its URI.
func (r *Request) From() (wire.NameAddr, wire.URI) { return r.read(&r.fromURI, wire.From) }

// To returns the To address and its URI.
func (r *Request) To() (wire.NameAddr, wire.URI) { return r.read(&r.toURI, wire.To) }

// read returns From or To, whose URI is read once: a thousand routes may ask for it.
func (r *Request) read(kept **wire.URI, id wire.HeaderID) (wire.NameAddr, wire.URI) {
	a, err := r.msg.Address(id)
	switch {
	case err != nil:
		return a, wire.URI{}
	case *kept != nil:
		return a, **kept
	}
	u, err := wire.ParseURI(a.URI)
	if err != nil {
		u = wire.URI{}
	}
	if !r.kept {
		*kept = uris.Get().(*wire.URI)
		**kept = u
	}
	return a, u
}

// uris are those of From and To while a request is handled.
var uris = sync.Pool{New: func() any { return new(wire.URI) }}

// forget gives back what was read of From and To: other bytes are theirs now, or nobody's.
func (r *Request) forget() {
	for _, kept := range [...]**wire.URI{&r.fromURI, &r.toURI} {
		if *kept != nil {
			**kept = wire.URI{}
			uris.Put(*kept)
			*kept = nil
		}
	}
}

// Header returns the value of the first line of a header field, by its long or compact name in any
// case; nil when it isn't there.
func (r *Request) Header(name string) []byte {
	v, _ := r.msg.HeaderNamed(name)
	return v
}

// Source returns where the packet came from.
func (r *Request) Source() netip.AddrPort { return r.in.Flow.Remote }

// Local returns the address the packet was sent to.
func (r *Request) Local() netip.AddrPort { return r.in.Flow.Local }

// Transport returns "udp", "tcp", "tls", "ws" or "wss".
func (r *Request) Transport() string { return r.in.Flow.Network.String() }

// Trusted reports whether the request came from an address that the server's configuration trusts.
func (r *Request) Trusted() bool { return r.server.Trusts(r.in.Flow.Remote.Addr()) }

// Server returns the server that took the request.
func (r *Request) Server() *Server { return r.server }

// InDialog reports whether the request belongs to a dialog: To has a tag (RFC 3261 §12.2).
func (r *Request) InDialog() bool { return r.msg.ToTag() != nil }

// Received returns when the request was read.
func (r *Request) Received() time.Time {
	if r.received.IsZero() {
		r.received = time.Now()
	}
	return r.received
}

// Var returns a variable, nil when it isn't set.
func (r *Request) Var(name string) any { return r.vars[name] }

// SetVar sets a variable: {sip.vars.name}.
func (r *Request) SetVar(name string, value any) {
	if r.vars == nil {
		r.vars = make(map[string]any)
	}
	r.vars[name] = value
}

// AuthUser returns the user whose credentials were checked; empty when none were.
func (r *Request) AuthUser() string {
	s, _ := r.vars[authUserVar].(string)
	return s
}

// SetAuthUser tells the handlers that follow whose credentials were checked.
func (r *Request) SetAuthUser(user string) { r.SetVar(authUserVar, user) }

const authUserVar = "sip.auth.user"

// Error returns the error that is being handled in a handle_errors route; nil when none was.
func (r *Request) Error() *HandlerError { return r.err }

// SIP returns the request as sipgo's type, parsed on first use. Changes to it have no effect on the
// request; use Edit.
func (r *Request) SIP() (*sip.Request, error) {
	if r.sip == nil {
		msg, err := sip.ParseMessage(append([]byte(nil), r.msg.Raw...))
		if err != nil {
			return nil, Error(400, err)
		}
		req := msg.(*sip.Request)
		req.SetTransport(r.in.Flow.Network.Token())
		req.SetSource(r.in.Flow.Remote.String())
		r.sip = req
	}
	return r.sip, nil
}

// Edit changes the bytes of the request that the following handlers see and that is relayed. A
// change that would make it malformed is an error and changes nothing.
func (r *Request) Edit(change func(e *wire.Edits, m *wire.Message)) error {
	r.edits.Reset()
	change(&r.edits, r.msg)
	if r.edits.Len() == 0 {
		return nil
	}
	before := r.msg.Raw
	size := len(before) + len(r.edits.Text)
	if again := r.msg == &r.ownMsg; again {
		r.room = nil // before may be there
	}
	r.room = slices.Grow(r.room[:0], size)
	raw := r.edits.Append(r.room, before)
	if err := r.ownMsg.Parse(raw); err != nil {
		if r.msg == &r.ownMsg {
			_ = r.ownMsg.Parse(before) // it was read before
		}
		// What the request brought along made it too large, or gave it too many parameters.
		perr := err.(*wire.ParseError)
		return HandlerError{Status: perr.Status, Reason: perr.Reason, Err: fmt.Errorf("the request would be malformed after the change: %w", err)}
	}
	r.msg = &r.ownMsg
	r.hasURI, r.sip = false, nil
	r.forget()
	return nil
}

// Keep makes the request, and the ResponseWriter that came with it, valid after ServeSIP has
// returned. It copies the request's bytes.
func (r *Request) Keep() {
	if r.kept {
		return
	}
	r.kept = true
	r.forget()
	r.Received()
	if r.msg != &r.ownMsg {
		r.msg.Clone(&r.ownMsg)
		r.msg = &r.ownMsg
		r.hasURI = false
	}
	r.in.Outbox = nil
}

// Drop says that a request is left without an answer on purpose: it is not in the access log, so
// that a flood doesn't fill that. Whoever calls it neither answers nor calls the next handler.
func (r *Request) Drop() { r.dropped = true }
