package proxy

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/sip/routetoken"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/wire"
)

// routing is what is to be done with one request. It holds no part of the request's bytes, which
// move when the request is kept.
type routing struct {
	loop     uint64   // engine.LoopHash of the request as it came
	pop      int      // how many Route values in front name us: they are taken away
	unstrict bool     // a strict router was before us: the last Route is the Request-URI
	strict   bool     // a strict router follows: the next Route becomes the Request-URI
	control  bool     // the request controls a phone: it is refused, unless something else is wrong
	record   bool     // the request makes a dialog, which is to come through here
	failover bool     // another target follows only one that did not answer, or answered 503
	within   within   // the call that the request belongs to
	caller   uint32   // who sent it, for a token: routetoken.Identity
	targets  []target // where the request goes; those of one group at once, and one group after the other
	alone    [1]target
}

// single makes t the only target.
func (rt *routing) single(t target) {
	rt.alone[0] = t
	rt.targets = rt.alone[:]
}

// forSelf reports whether a request is for this server itself. What is relayed to given URIs is
// not, but for an OPTIONS: whoever asks whether the server is alive does not ask what is behind it.
func (p *Proxy) forSelf(r *module.Request, rs *routetoken.Routes) bool {
	m := r.Message()
	switch {
	case rs.HasNext || rs.Standing != routetoken.None || !routetoken.IsOurs(p.in, &rs.URI):
		return false
	case len(p.To) > 0:
		return m.Method == wire.OPTIONS && len(rs.URI.User) == 0
	}
	return len(rs.URI.User) == 0 || m.Method == wire.REGISTER
}

// route decides where a request goes (RFC 3261 §16.5).
func (p *Proxy) route(r *module.Request, rt *routing, rs *routetoken.Routes) error {
	uri := &rs.URI
	if uri.Scheme == wire.SIPS {
		return module.Error(416, errNetwork) // it must not go on unprotected (RFC 3261 §26.2.2)
	}
	switch rt.record = p.records(r); {
	case rs.Standing == routetoken.Admitted:
		rt.caller = rs.From.User
	case rt.record:
		rt.caller = p.signer.Caller(r.Message(), sender(r))
	}
	switch {
	case rs.Standing == routetoken.Admitted:
		rt.within.set(r.Message(), rs)
		rt.single(p.otherEnd(r, rt, rs))
	case rs.Standing == routetoken.Over:
		return module.Error(481, errOver)
	case rs.HasNext && r.AuthUser() != "":
		rt.strict = !rs.Loose
		rt.single(namedByUser(&rs.Next))
	case len(p.To) > 0:
		return p.configured(r, rt, uri)
	case rs.HasNext:
		return p.onlyIfLocal(r, rt, &rs.Next)
	case routetoken.IsOurs(p.in, uri), uri.Scheme == wire.TEL:
		return p.registered(rt, uri)
	default:
		return p.routeForeign(r, rt, uri)
	}
	return nil
}

// routeForeign decides where a request goes whose Request-URI is at no domain of ours. It may be
// the Contact of one of our phones: a phone that is told to transfer a call knows nothing else.
func (p *Proxy) routeForeign(r *module.Request, rt *routing, uri *wire.URI) error {
	outside := !r.InDialog()
	if outside {
		if b := p.phoneAt(uri); b != nil {
			return p.toPhone(rt, b)
		}
	}
	switch {
	case r.AuthUser() != "" && p.AllowPrivate:
		rt.single(namedByUser(uri))
	case outside && p.isUserURI(uri):
		return p.registered(rt, uri)
	case r.AuthUser() != "":
		rt.single(namedByUser(uri))
	default:
		return p.onlyIfLocal(r, rt, uri)
	}
	return nil
}

var (
	errOver = errors.New("the call is over")
	errACK  = errors.New("it is for no call that is up, and from no user")
)

// sender returns what is known of who sent a request.
func sender(r *module.Request) routetoken.Sender {
	return routetoken.Sender{Flow: inside.RequestOf(r).Flow, User: r.AuthUser(), Trusted: r.Trusted()}
}

// mayACK reports whether an ACK is relayed. It cannot be challenged, and nobody answers it: a
// stranger's goes nowhere.
func (p *Proxy) mayACK(r *module.Request, rs *routetoken.Routes) bool {
	if rs.Standing == routetoken.Admitted || r.AuthUser() != "" || r.Trusted() {
		return true
	}
	f := inside.RequestOf(r).Flow
	return rs.Standing == routetoken.None && p.signer.Registered(r.Message(), &f)
}

// otherEnd returns the target of a request within a call: the other end of the call.
func (p *Proxy) otherEnd(r *module.Request, rt *routing, rs *routetoken.Routes) target {
	uri := &rs.URI
	if rs.HasNext {
		uri = &rs.Next
		rt.strict = !rs.Loose
	}
	t := namedBy(uri)
	if !p.follows(r, rs, &t) {
		if b := p.signer.Moved(r.Message(), rs); b != nil {
			t = p.bindingTarget(b)
			t.uri = nil
			return t
		}
		alive := false
		if rs.To.Network.Reliable() {
			_, alive = p.in.FlowTo(rs.To.Network, rs.To.Addr, nil, netip.AddrPort{})
		}
		t.setSource(rs.To.Hop, alive)
		if rs.To.User != 0 {
			t.useSourcePort()
		}
		if rs.To.Dialed {
			t.flow = false // so it may be dialed again
			if t.gone {
				t.hop, t.gone = rs.To.Hop, false
			}
		}
	}
	// The other end knows us by the address in its Record-Route, which is that of both sides when
	// there is but one.
	t.local = inside.RequestOf(r).Flow.Local
	if rs.HasSocket {
		t.preferred, t.local = p.socket(&rs.Socket)
	}
	t.user = rs.To.User
	return t
}

// follows reports whether a request within a call goes to another address, which it names itself.
// The end must be none of our users, who are reached where they are. And the sender has to be
// authenticated, and the address one that users may name; or both it and the end's hop are trusted:
// one neighbour with several addresses.
func (p *Proxy) follows(r *module.Request, rs *routetoken.Routes, t *target) bool {
	to, at := rs.To.Addr.Addr(), t.hop.Addr.Addr()
	switch trusts := r.Server().Trusts; {
	case rs.To.User != 0 || t.gone || at == to:
		return false
	case at.IsValid() && trusts(to) && trusts(at):
		t.named = false
		return true
	case r.AuthUser() == "":
		return false
	case !at.IsValid(): // a name may be that of the hop
		return p.denies(to) == ""
	}
	return p.denies(at) == ""
}

func notAllowed(r *module.Request, to *wire.URI) error {
	if r.InDialog() {
		return module.HandlerError{Status: 481, Err: fmt.Errorf("no call that was set up here: %s@%s", to.User, to.Host)}
	}
	return module.HandlerError{Status: 403, Reason: "Relaying Denied",
		Err: fmt.Errorf("%s@%s is not a user of the domains served here; give proxy the address, or authenticate, to relay to others", to.User, to.Host)}
}

// records reports whether the request makes a dialog whose route is to lead through here. Of a
// subscription that is the NOTIFY, too, though it has a To tag (RFC 6665 §4.3).
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
