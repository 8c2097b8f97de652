package proxy

import (
	"fmt"

	"github.com/caddysip/caddysip/internal/routetoken"
	"github.com/caddysip/caddysip/internal/wire"
	"github.com/caddysip/caddysip/module"
)

// routing is what is to be done with one request. It holds no part of the request's bytes, which move when the request is kept.
type routing struct {
	loop     uint64   // engine.LoopHash of the request as it came
	pop      int      // how many Route values in front name us: they are taken away
	unstrict bool     // a strict router was before us: the last Route is the Request-URI
	strict   bool     // a strict router follows: the next Route becomes the Request-URI
	record   bool     // the request makes a dialog, which is to come through here
	failover bool     // another target follows only one that did not answer, or answered 503
	targets  []target // where the request goes; those of one group at once, and one group after the other
	alone    [1]target
}

// single makes t the only target.
func (rt *routing) single(t target) {
	rt.alone[0] = t
	rt.targets = rt.alone[:]
}

// forSelf tells whether a request is for this server itself. What is relayed to given URIs is not, but for a query that may go no further
// (RFC 3261 §16.3 step 3).
func (p *Proxy) forSelf(r *module.Request, rs *routetoken.Routes) bool {
	m := r.Message()
	switch {
	case rs.HasNext || rs.WithinCall(p.app) || !routetoken.IsOurs(p.app, &rs.URI):
		return false
	case len(p.To) > 0:
		return m.Method == wire.OPTIONS && m.MaxForwards == 0 && len(rs.URI.User) == 0
	}
	return len(rs.URI.User) == 0 || m.Method == wire.REGISTER
}

// route decides where a request goes (RFC 3261 §16.5).
func (p *Proxy) route(r *module.Request, rt *routing, rs *routetoken.Routes) error {
	uri := &rs.URI
	if uri.Scheme == wire.SIPS {
		return module.Error(416, errNetwork) // it must not go on unprotected (RFC 3261 §26.2.2)
	}
	rt.record = p.records(r)
	switch {
	case rs.WithinCall(p.app):
		rt.single(p.otherEnd(rt, rs))
	case rs.HasNext && r.AuthUser() != "":
		rt.strict = !rs.Loose
		rt.single(namedBy(&rs.Next))
	case len(p.To) > 0:
		return p.configured(r, rt, uri)
	case rs.HasNext:
		return notAllowed(r, &rs.Next)
	case routetoken.IsOurs(p.app, uri), uri.Scheme == wire.TEL:
		return p.registered(rt, uri)
	case r.AuthUser() != "":
		rt.single(namedBy(uri))
	default:
		return notAllowed(r, uri)
	}
	return nil
}

// otherEnd returns the target of a request within a call: the next Route or the Request-URI, held against what the token says.
func (p *Proxy) otherEnd(rt *routing, rs *routetoken.Routes) target {
	uri := &rs.URI
	if rs.HasNext {
		uri = &rs.Next
		rt.strict = !rs.Loose
	}
	t := toward(uri)
	if rs.HasSocket {
		t.preferred = p.socket(&rs.Socket)
	}
	if !rs.To.Addr.IsValid() {
		t.anywhere = true
		return t
	}
	alive := false
	if rs.To.Network.Reliable() {
		_, alive = p.app.FlowTo(rs.To.Network, rs.To.Addr, nil)
	}
	t.place(rs.To, alive)
	return t
}

func notAllowed(r *module.Request, to *module.URI) error {
	if r.InDialog() {
		return module.HandlerError{Status: 481, Err: fmt.Errorf("no call that was set up here: %s@%s", to.User, to.Host)}
	}
	return module.HandlerError{Status: 403, Reason: "Relaying Denied",
		Err: fmt.Errorf("%s@%s is not a user of the domains served here; give proxy the address, or authenticate, to relay to others", to.User, to.Host)}
}

// records tells whether the request makes a dialog whose route is to lead through here. Of a subscription that is the NOTIFY, too, though it has
// a To tag (RFC 6665 §4.3).
func (p *Proxy) records(r *module.Request) bool {
	if p.RecordRoute != nil && !*p.RecordRoute {
		return false
	}
	switch r.Message().Method {
	case wire.INVITE, wire.SUBSCRIBE, wire.REFER:
		return !r.InDialog()
	case wire.NOTIFY:
		return true
	}
	return false
}
