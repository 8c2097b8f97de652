package proxy

import (
	"errors"
	"slices"

	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/sip/routetoken"
	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/wire"
)

// A request may be for us, or for one of our phones, although its URI is at none of our domains:
// the Contact of a phone, a port that is forwarded to us, a name that leads to us.

// phoneAt returns the binding whose Contact a URI is, nil if there is none.
func (p *Proxy) phoneAt(uri *wire.URI) *location.Binding {
	if len(uri.User) == 0 {
		return nil
	}
	var room [4][]byte
	aors := room[:0]
	for _, domain := range p.app.AllDomains() {
		u := wire.URI{User: uri.User, Host: []byte(domain)}
		aors = append(aors, u.AppendAOR(nil))
	}
	return p.in.Location().FindByContact(uri, aors...)
}

// toPhone makes a phone the only target. One that has another Contact now is called there.
func (p *Proxy) toPhone(rt *routing, b *location.Binding) error {
	if rt.control {
		return errControl
	}
	if b.Superseded() {
		var room [8]*location.Binding
		all := p.in.Location().Lookup([]byte(b.AOR()), room[:0])
		i := slices.IndexFunc(all, func(now *location.Binding) bool {
			return len(all) == 1 ||
				now.Instance() == b.Instance() && now.Source().Addr() == b.Source().Addr()
		})
		if i >= 0 {
			b = all[i]
		}
	}
	t := p.bindingTarget(b)
	t.user = routetoken.Identity([]byte(b.AOR()))
	rt.single(t)
	return nil
}

// isUserURI reports whether a URI is that of a user whose phones register at it: at one of our
// addresses, but with a port that we don't listen on, which may be forwarded to us.
func (p *Proxy) isUserURI(uri *wire.URI) bool {
	if _, maddr := uri.Param("maddr"); maddr || !p.app.IsLocal(uri.Host) {
		return false
	}
	var room [128]byte
	aor, ok := p.app.AppendAOR(room[:0], uri)
	return ok && (p.app.Registered(aor) || p.in.Location().Known(aor))
}

// onlyIfLocal routes a request to where a URI in it leads, if that turns out to be here. Only for
// senders that are registered or trusted is a name looked up to find that out.
func (p *Proxy) onlyIfLocal(r *module.Request, rt *routing, uri *wire.URI) error {
	if _, literal := wire.HostAddr(uri.Target()); !literal && uri.Scheme == wire.SIP {
		f := inside.RequestOf(r).Flow
		if r.Trusted() || p.signer.Registered(r.Message(), &f) {
			t := namedByUser(uri)
			t.otherwise = notAllowed(r, uri)
			rt.single(t)
			return nil
		}
	}
	return notAllowed(r, uri)
}

// leadsHere reports whether one of the places that a name leads to is a socket of ours.
func (p *Proxy) leadsHere(hops []hop) bool {
	return slices.ContainsFunc(hops, func(h hop) bool {
		host := wire.AppendHost(nil, h.Addr.Addr())
		return p.app.IsSelf(&wire.URI{Scheme: wire.SIP, Host: host, Port: h.Addr.Port()})
	})
}

// reroute routes a request once more whose only target has turned out to be us. The target's name
// is remembered as one of ours.
func (c *responseContext) reroute(name []byte, out *transport.Outbox) {
	u, _ := wire.ParseURI(name) // it was parsed before
	c.p.in.Remember(string(u.Host))
	c.rerouted = true
	c.branches, c.pending, c.first = nil, 0, branch{}
	rs, err := c.p.signer.ReadRoutes(c.r.Message(), c.r.URI(), sender(c.r))
	c.routing = routing{loop: c.loop, control: c.control, pop: rs.Pop, unstrict: rs.Unstrict}
	if err == nil {
		err = c.p.route(c.r, &c.routing, &rs)
	}
	if he := module.Error(500, err); err != nil {
		errors.As(err, &he)
		c.targets = nil
		if c.best.consider(nil, he.Status, "", true); he.Status == 403 {
			c.denied = he.Reason
		}
	}
	c.shareBreadth()
	c.next(out)
}
