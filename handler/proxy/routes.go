package proxy

import (
	"bytes"

	"github.com/caddysip/caddysip/internal/transport"
	"github.com/caddysip/caddysip/internal/wire"
	"github.com/caddysip/caddysip/module"
)

// routes is what the Route of a request says. It is a view of the request.
type routes struct {
	uri     module.URI          // the Request-URI; after a strict router, the one before it
	inCall  bool                // a value of ours belongs to this call
	to      hop                 // where that value says the request goes; not valid: where next or uri do
	socket  *transport.Listener // the socket on that side, if it is another than the one on this side
	next    module.URI          // of the value that follows ours
	hasNext bool
	loose   bool // next has lr
}

// readRoutes reads the Route values in front that name us, and the one after them.
func (p *Proxy) readRoutes(r *module.Request, rt *routing) (rs routes, err error) {
	m := r.Message()
	rs.uri = *r.URI()
	if !m.Has(wire.Route) {
		return rs, nil
	}
	last, err := p.undoStrictRouting(m, rt, &rs)
	if err != nil {
		return rs, err
	}
	var own []byte
	for v := m.Values(wire.Route); v.Next(); {
		if start, _ := v.Span(); start == last {
			break
		}
		u, err := routeURI(v.Value())
		if err != nil {
			return rs, err
		}
		if !p.isOurs(&u) {
			rs.next, rs.hasNext = u, true
			_, rs.loose = u.Param("lr")
			break
		}
		// Between two sockets of ours there is a value for each, with the same token. The last is the one on the side that the request goes to.
		if rt.pop > 0 {
			rs.socket = p.socket(&u)
		}
		if rt.pop == 0 || !bytes.Equal(u.User, own) {
			own = u.User
			p.readOwn(m, own, &rs)
		}
		rt.pop++
	}
	return rs, nil
}

// readOwn reads what a Route value of ours says of the call.
func (p *Proxy) readOwn(m *module.Message, user []byte, rs *routes) bool {
	if m.ToTag() == nil {
		return false
	}
	to, ok := p.signer.read(user, m.Header(wire.CallID), m.FromTag(), m.ToTag())
	if ok {
		rs.inCall, rs.to = true, to
	}
	return ok
}

// undoStrictRouting finds out whether a strict router before us made our Record-Route the Request-URI, and the Request-URI the last Route
// (RFC 3261 §16.4). It returns where in the request that value is, 0 when that is not so.
func (p *Proxy) undoStrictRouting(m *module.Message, rt *routing, rs *routes) (last int, err error) {
	if _, lr := rs.uri.Param("lr"); !lr || !p.readOwn(m, rs.uri.User, rs) {
		return 0, nil
	}
	var value []byte
	for v := m.Values(wire.Route); v.Next(); {
		value = v.Value()
		last, _ = v.Span()
	}
	rt.unstrict = true
	rs.uri, err = routeURI(value)
	return last, err
}

// routeURI returns the URI of a Route value.
func routeURI(value []byte) (u module.URI, err error) {
	a, err := wire.ParseNameAddr(value)
	if err == nil {
		u, err = wire.ParseURI(a.URI)
	}
	if err != nil {
		return u, module.HandlerError{Status: 400, Reason: "Malformed Route", Err: err}
	}
	return u, nil
}

// socket returns the listener that a URI of ours names, nil if it is gone.
func (p *Proxy) socket(u *module.URI) *transport.Listener {
	h, ok, err := literal(u)
	if !ok || err != nil {
		return nil
	}
	return p.listener(h)
}

// listener returns the listener that has an address, nil if there is none.
func (p *Proxy) listener(h hop) *transport.Listener {
	for _, l := range p.app.Listeners() {
		a := l.Addr()
		if l.Network() == h.network && a.Port() == h.addr.Port() && (a.Addr() == h.addr.Addr() || a.Addr().IsUnspecified()) {
			return l
		}
	}
	return nil
}
