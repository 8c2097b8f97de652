package proxy

import (
	"bytes"
	"fmt"
	"net/netip"

	"github.com/caddysip/caddysip/internal/ipset"
	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/sip/routetoken"
	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/wire"
)

// target is one place that a request is sent to.
type target struct {
	group      int                 // those with the same number are tried at once
	uri        []byte              // the new Request-URI; nil: as it is
	route      []byte              // Route values to put in front, separated by commas; nil: none
	hop        hop                 // where it is
	name       []byte              // the URI whose name has to be looked up for that; nil: none
	within     ipset.Set           // where the name may lead; nil: anywhere
	gone       bool                // there is no way to it
	fallback   *target             // another way to the same phone, if this one fails; nil: none
	binding    *location.Binding   // it is where this binding leads; nil: it is no phone of ours
	silent     bool                // it said nothing to the last request
	skippable  bool                // while it is silent, the others are not kept waiting
	flow       bool                // it is reached by a connection that it made, and no other
	named      bool                // the request names it: it must not be a private address
	maybeLocal bool                // its name may turn out to lead to us
	otherwise  error               // the answer if it doesn't; nil: the request is sent there
	source     hop                 // where its packets come from, if that is not where it is
	user       uint32              // the user there, as routetoken.Identity; 0: none of ours
	preferred  *transport.Listener // the socket to send from; nil: the one that the request came by
	local      netip.AddrPort      // the address to send from, on a wildcard socket; invalid: any
}

// toward returns the target that a URI leads to.
func toward(u *wire.URI) (t target) {
	h, ok, err := literal(u)
	switch {
	case err != nil:
		t.gone = true
	case ok:
		t.hop = h
	default:
		t.name = bytes.Clone(u.Raw)
	}
	return t
}

// namedBy returns the target that a URI leads to which came with the request.
func namedBy(u *wire.URI) target {
	t := toward(u)
	t.named = true
	return t
}

// namedByUser returns the target that an authenticated user names.
func namedByUser(u *wire.URI) target {
	t := namedBy(u)
	t.maybeLocal = true
	return t
}

// setSource sets where a target's packets come from. Requests are sent there, down its connection
// if that is alive, and not to the address in its URI. If both addresses are the same, the port in
// the URI counts: the target may want to be called at that. So a target behind NAT is reached, and
// nobody can make us send to somebody else.
//
// When a connection has gone, a new one may be opened to where the URI asks for one. A target that
// came over TCP is never tried over UDP.
func (t *target) setSource(at hop, alive bool) {
	addr := at.Addr.Addr()
	same := t.hop.Addr.IsValid() && t.hop.Addr.Addr() == addr.WithZone("")
	switch reliable := at.Network.Reliable(); {
	case reliable && alive:
		t.hop, t.flow, t.gone = at, true, false
	case reliable:
		t.gone = !same || t.hop.Network != at.Network
	case !same:
		t.hop, t.gone = at, false
	default:
		t.source = at
	}
	if same && !t.gone {
		t.hop.Addr = netip.AddrPortFrom(addr, t.hop.Addr.Port())
	}
	t.name, t.named = nil, false
}

// useSourcePort makes a request over UDP go to the port that the phone's packets come from, when
// the URI has another. On the Internet such a phone is behind a NAT, and has the port from a STUN
// server or from its settings: the NAT lets nothing in there. In a private network it is a phone
// that listens on the port of the URI.
func (t *target) useSourcePort() {
	addr := t.source.Addr.Addr()
	if addr.IsValid() && !addr.IsPrivate() && !addr.IsLinkLocalUnicast() {
		t.hop, t.source = t.source, hop{}
	}
}

// What is asked for most by those who try names, or call phones that are switched off.
var errNotFound, errNotThere error = module.Error(404, nil), module.Error(480, nil)

// registered finds the contacts of an address-of-record, those with the same q in one group.
func (p *Proxy) registered(rt *routing, uri *wire.URI) error {
	var key [128]byte
	aor, ok := p.app.AppendAOR(key[:0], uri)
	if !ok {
		return errNotFound
	}
	var room [8]*location.Binding
	bindings := p.in.Location().Lookup(aor, room[:0])
	if len(bindings) == 0 {
		if p.in.Location().Known(aor) {
			return errNotThere
		}
		return errNotFound
	}
	if rt.control {
		return errControl
	}
	rt.targets = rt.alone[:0]
	user := routetoken.Identity(aor)
	group := 0
	for i, b := range bindings {
		if t := rt.sameTarget(b); t != nil {
			other := p.bindingTarget(b)
			other.user = user
			t.fallback = &other
			continue
		}
		if i > 0 && (p.Fork == Sequential || bindings[i-1].Q() != b.Q()) {
			group++
		}
		t := p.bindingTarget(b)
		t.group, t.user = group, user
		t.silent = p.in.Engine.IsSilent(b)
		rt.targets = append(rt.targets, t)
	}
	rt.skipSilent()
	return nil
}

// skipSilent makes sure that targets which said nothing to the last request do not delay others:
// those that follow are tried at the same time, and the silent ones are soon skipped (see
// branch.skip). When there are no others they are treated like any. A target that has gone fails at
// once, wherever it stands.
func (rt *routing) skipSilent() {
	last := -1
	for i := range rt.targets {
		if t := &rt.targets[i]; !t.silent && !t.gone {
			last = i
		}
	}
	if last < 0 {
		return
	}
	for i := len(rt.targets) - 1; i >= 0; i-- {
		t := &rt.targets[i]
		t.skippable = t.silent
		switch {
		case !t.silent && !t.gone:
		case i < last:
			t.group = rt.targets[i+1].group
		default:
			t.group = min(t.group, rt.targets[last].group+1)
		}
	}
}

// sameTarget returns the target that leads to the same phone as a binding by another flow, nil if
// there is none: the phone must not ring twice, and the other flow is tried when the first has
// failed (RFC 5626 §5.3).
func (rt *routing) sameTarget(b *location.Binding) *target {
	if b.RegID() == 0 {
		return nil
	}
	for i := range rt.targets {
		t := &rt.targets[i]
		o := t.binding
		if o == nil || o.RegID() == 0 || o.RegID() == b.RegID() ||
			o.Instance() != b.Instance() || o.FlowFailed() {
			continue
		}
		for t.fallback != nil {
			t = t.fallback
		}
		return t
	}
	return nil
}

// bindingTarget returns the way to a registered phone: by its Path when there are proxies in front
// of it (RFC 3327 §5.2), else to where its REGISTER came from.
func (p *Proxy) bindingTarget(b *location.Binding) target {
	u, err := wire.ParseURI([]byte(b.Contact()))
	if err != nil || u.Scheme == wire.OtherScheme || u.Scheme == wire.TEL {
		return target{gone: true}
	}
	f := b.Flow()
	var t target
	if path, edges := p.in.Engine.PathTo(b); path != nil {
		first, _ := wire.CutValue(path)
		proxy, err := routetoken.ParseURI(first)
		if err != nil {
			return target{gone: true}
		}
		t = toward(&proxy)
		t.within = edges
		t.route = path
	} else {
		t = toward(&u)
		t.setSource(hop{Network: f.Network, Addr: f.Remote}, !b.FlowFailed())
		if p.app.IsSelf(&u) {
			t.source = hop{} // the call comes through here again
		}
		t.useSourcePort()
	}
	t.binding = b
	// What a Request-URI must not have is left away (RFC 3261 §19.1.1).
	t.uri = u.WithoutHeaders()
	// A NAT lets nobody in but the socket that the phone registered with.
	t.local = f.Local
	if t.preferred = f.Listener; t.preferred == nil {
		t.preferred = p.listener(hop{Network: f.Network, Addr: f.Local})
	}
	return t
}

// configured makes the URIs of the configuration targets, one after the other.
func (p *Proxy) configured(r *module.Request, rt *routing, uri *wire.URI) error {
	n := len(p.To)
	if p.Retries != nil {
		n = min(n, *p.Retries+1)
	}
	rt.failover = true
	rt.targets = rt.alone[:0]
	for i, text := range p.To[:n] {
		to, err := checkTarget(r.Replace(text))
		if err != nil {
			return module.Error(500, fmt.Errorf("%s became %w", text, err))
		}
		t := toward(&to)
		t.group = i
		t.named = placeOf(&to) != p.places[i]
		if _, lr := to.Param("lr"); lr {
			t.route = fmt.Appendf(nil, "<%s>", to.Raw)
		} else {
			t.uri = withHost(uri, &to)
		}
		rt.targets = append(rt.targets, t)
	}
	return nil
}

// withHost returns the user of uri at host; if host names a user itself, or uri none, it returns
// host. A telephone number becomes a user (RFC 3261 §19.1.6).
func withHost(uri, host *wire.URI) []byte {
	if len(host.User) > 0 || len(uri.User) == 0 {
		return host.Raw
	}
	rest := host.Raw[len("sip:"):]
	if uri.Scheme == wire.TEL {
		return fmt.Appendf(nil, "sip:%s%s@%s;user=phone", uri.User, uri.Params, rest)
	}
	return fmt.Appendf(nil, "sip:%s@%s", uri.User, rest)
}
