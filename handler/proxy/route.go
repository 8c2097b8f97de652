package proxy

import (
	"fmt"

	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/transport"
	"github.com/caddysip/caddysip/internal/wire"
	"github.com/caddysip/caddysip/module"
)

// routing is what is to be done with one request.
type routing struct {
	popRoute bool       // the topmost Route is ours and is taken away
	groups   [][]target // tried one after the other; the targets of one group at once
	record   bool       // this request makes a dialog, which is to come through here
	caller   hop
	failover bool // another target follows only a timeout or a 503
}

// target is one place a request is sent to.
type target struct {
	uri       []byte // the new Request-URI; nil: as it is
	route     []byte // Route values to add, separated by commas; nil: none
	next      []byte // the URI that says where it is sent to, when hop does not
	hop       hop
	preferred *transport.Listener
	binding   *location.Binding
}

// route decides where a request goes (RFC 3261 §16.4, §16.5). It returns nil for a request to this server itself.
func (p *Proxy) route(r *module.Request) (*routing, error) {
	if err := p.undoStrictRouting(r); err != nil {
		return nil, err
	}
	own, err := p.ownRoutes(r)
	if err != nil {
		return nil, err
	}
	rt := &routing{popRoute: own.count > 0, record: p.records(r)}
	if rt.record {
		rt.caller = callerHop(r)
	}
	inCall := own.inCall && r.InDialog()
	uri := r.URI()
	switch {
	case own.next != nil:
		if !inCall && len(p.To) == 0 && r.AuthUser() == "" {
			return nil, notAllowed(r)
		}
		t, err := p.followRoute(r, own.next)
		rt.groups = [][]target{{t}}
		return rt, err
	case inCall && !p.app.IsSelf(uri):
		rt.groups = [][]target{{{next: uri.Raw, hop: own.to}}}
		return rt, nil
	case len(p.To) > 0:
		rt.failover = true
		rt.groups, err = p.configured(r)
		return rt, err
	case p.isOurs(uri):
		if len(uri.User) == 0 {
			return nil, nil
		}
		rt.groups, err = p.registered(r)
		return rt, err
	case r.AuthUser() != "":
		rt.groups = [][]target{{{next: uri.Raw}}}
		return rt, nil
	}
	return nil, notAllowed(r)
}

func notAllowed(r *module.Request) error {
	if r.InDialog() {
		return module.HandlerError{Status: 481, Err: fmt.Errorf("no call of ours: %s", r.URI().Raw)}
	}
	return module.HandlerError{Status: 403, Reason: "Relaying Denied",
		Err: fmt.Errorf("%s is not a user of the domains served here; give proxy the address, or authenticate, to relay to others", r.URI().Raw)}
}

// records tells whether the request makes a dialog whose route is to lead through here.
func (p *Proxy) records(r *module.Request) bool {
	if r.InDialog() || p.RecordRoute != nil && !*p.RecordRoute {
		return false
	}
	switch r.Message().Method {
	case wire.INVITE, wire.SUBSCRIBE, wire.REFER, wire.NOTIFY:
		return true
	}
	return false
}

// isOurs tells whether a URI names a user of a domain that is served: the host is ours, and the port, if there is one, too.
func (p *Proxy) isOurs(u *module.URI) bool {
	return u.Scheme == wire.TEL || p.app.IsLocal(u.Host) && (u.Port == 0 || p.app.IsSelf(u))
}

// undoStrictRouting puts back what a strict router before us has moved: it made our Record-Route the Request-URI, and the Request-URI the
// last Route (RFC 3261 §16.4).
func (p *Proxy) undoStrictRouting(r *module.Request) error {
	u := r.URI()
	if _, lr := u.Param("lr"); !lr || !r.Message().Has(wire.Route) || !p.isOurs(u) {
		return nil
	}
	var last []byte
	for v := r.Message().Values(wire.Route); v.Next(); {
		last = v.Value()
	}
	a, err := wire.ParseNameAddr(last)
	if err != nil {
		return module.HandlerError{Status: 400, Reason: "Malformed Route", Err: err}
	}
	uri := a.URI
	// Our own value stays in front, as a Route that is then taken away like any other.
	return r.Edit(func(e *wire.Edits, m *module.Message) {
		own := m.RequestURI()
		e.SetRequestURI(m, uri)
		e.PushHeader(m, wire.Route)
		e.Text = append(append(append(e.Text, "Route: <"...), own...), ">\r\n"...)
		e.PopLastValue(m, wire.Route)
	})
}

// ownRoute is what the Route values in front that name us say.
type ownRoute struct {
	count  int
	inCall bool // one of them has a token of ours for this call
	to     hop
	next   []byte // the Route value that follows; nil: none
}

// ownRoutes reads the Route values in front that name us, and leaves at most one of them in the request.
func (p *Proxy) ownRoutes(r *module.Request) (ownRoute, error) {
	var own ownRoute
	m := r.Message()
	for v := m.Values(wire.Route); v.Next(); {
		a, err := wire.ParseNameAddr(v.Value())
		if err != nil {
			return own, module.HandlerError{Status: 400, Reason: "Malformed Route", Err: err}
		}
		u, err := wire.ParseURI(a.URI)
		if err != nil {
			return own, module.HandlerError{Status: 400, Reason: "Malformed Route", Err: err}
		}
		if !p.isOurs(&u) {
			own.next = v.Value()
			break
		}
		own.count++
		if !own.inCall {
			own.to, own.inCall = readToken(u.User, p.app.Secret(), m.Header(wire.CallID), m.FromTag(), m.ToTag())
		}
	}
	for n := own.count; n > 1; n-- {
		err := r.Edit(func(e *wire.Edits, m *module.Message) { e.PopValue(m, wire.Route) })
		if err != nil {
			return own, err
		}
	}
	if own.count > 1 && own.next != nil {
		v := r.Message().Values(wire.Route)
		v.Next()
		v.Next()
		own.next = v.Value()
	}
	return own, nil
}

// followRoute returns the target that the next Route names (RFC 3261 §16.6 steps 6 and 7).
func (p *Proxy) followRoute(r *module.Request, value []byte) (target, error) {
	a, _ := wire.ParseNameAddr(value)
	u, err := wire.ParseURI(a.URI)
	if err != nil {
		return target{}, module.HandlerError{Status: 400, Reason: "Malformed Route", Err: err}
	}
	if _, lr := u.Param("lr"); lr {
		return target{next: a.URI}, nil
	}
	// A strict router wants to find itself in the Request-URI, and the Request-URI at the end of the route.
	next := append([]byte(nil), a.URI...)
	err = r.Edit(func(e *wire.Edits, m *module.Message) {
		e.SetRequestURI(m, next)
		skip := string(value)
		for it := m.Lines("Route"); it.Next(); {
			e.Replace(it.Span())
		}
		e.PushHeader(m, wire.Route)
		for it := m.Values(wire.Route); it.Next(); {
			if string(it.Value()) == skip {
				skip = ""
				continue
			}
			e.Text = append(append(append(e.Text, "Route: "...), it.Value()...), "\r\n"...)
		}
		e.Text = append(append(append(e.Text, "Route: <"...), m.RequestURI()...), ">\r\n"...)
	})
	return target{next: next}, err
}

// callerHop tells where the sender of a request that makes a dialog is reached: where the request came from, when its Contact names another
// place (it is behind NAT) or it came over a connection; as its Contact says, when they agree; and not at all by us when another proxy is
// between, which then is in the route.
func callerHop(r *module.Request) hop {
	f := r.Flow()
	if r.Message().Has(wire.RecordRoute) {
		return hop{}
	}
	_, u := r.Address(wire.Contact)
	if addr, ok := wire.HostAddr(u.Host); ok && addr == f.Remote.Addr() && !f.Network.Reliable() {
		return hop{}
	}
	return hop{f.Network, f.Remote}
}
