package proxy

import (
	"bytes"
	"fmt"

	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/wire"
	"github.com/caddysip/caddysip/module"
)

// registered returns the contacts of the Request-URI's address-of-record, those with the same q in one group.
func (p *Proxy) registered(r *module.Request) ([][]target, error) {
	var key [128]byte
	aor, ok := p.app.AppendAOR(key[:0], r.URI())
	if !ok {
		return nil, module.Error(404, nil)
	}
	var place [8]*location.Binding
	bindings := p.app.Location().Lookup(aor, place[:0])
	if len(bindings) == 0 {
		if p.app.Location().Known(aor) {
			return nil, module.Error(480, nil)
		}
		return nil, module.Error(404, nil)
	}
	groups := make([][]target, 0, 1)
	for i, b := range bindings {
		t := bindingTarget(b)
		if i > 0 && p.Fork == Parallel && bindings[i-1].Q() == b.Q() {
			last := len(groups) - 1
			groups[last] = append(groups[last], t)
			continue
		}
		groups = append(groups, []target{t})
	}
	return groups, nil
}

// bindingTarget returns the way to a registered phone: by its Path when there are proxies in front of it, down its connection, to where its REGISTER
// came from when that isn't where its Contact says (NAT), else to its Contact.
func bindingTarget(b *location.Binding) target {
	contact := []byte(b.Contact())
	f := b.Flow()
	t := target{uri: contact, preferred: f.Listener, binding: b}
	if path := b.Path(); path != "" {
		t.route = []byte(path)
		a, _ := wire.ParseNameAddr(firstValue(t.route))
		t.next = a.URI
		return t
	}
	u, _ := wire.ParseURI(contact)
	addr, literal := wire.HostAddr(u.Host)
	switch {
	case f.Network.Reliable() && !b.FlowFailed():
		t.hop = hop{f.Network, f.Remote}
	case literal && addr == f.Remote.Addr():
		t.next = contact
	default:
		t.hop = hop{f.Network, f.Remote}
	}
	return t
}

func firstValue(list []byte) []byte {
	quoted, inURI := false, false
	for i, c := range list {
		switch {
		case c == '"' && !inURI:
			quoted = !quoted
		case c == '<' && !quoted:
			inURI = true
		case c == '>' && !quoted:
			inURI = false
		case c == ',' && !quoted && !inURI:
			return list[:i]
		}
	}
	return list
}

// configured returns the URIs of the configuration, one group each.
func (p *Proxy) configured(r *module.Request) ([][]target, error) {
	n := len(p.To)
	if p.Retries != nil {
		n = min(n, *p.Retries+1)
	}
	groups := make([][]target, 0, n)
	for _, text := range p.To[:n] {
		uri := []byte(r.Replace(text))
		u, err := wire.ParseURI(uri)
		if err != nil || u.Scheme != wire.SIP {
			return nil, module.Error(500, fmt.Errorf("%s became %q, which is no SIP URI", text, uri))
		}
		t := target{next: uri}
		if _, lr := u.Param("lr"); lr {
			t.route = bytes.Join([][]byte{[]byte("<"), uri, []byte(">")}, nil)
		} else if len(u.User) > 0 || len(r.URI().User) == 0 || r.URI().Scheme == wire.TEL {
			t.uri = uri
		} else {
			t.uri = withHost(r.URI(), &u)
		}
		groups = append(groups, []target{t})
	}
	return groups, nil
}

// withHost returns u with the host, the port and the parameters of host.
func withHost(u, host *module.URI) []byte {
	uri := append([]byte("sip:"), u.User...)
	uri = append(uri, '@')
	rest := bytes.TrimPrefix(host.Raw, []byte("sip:"))
	return append(uri, rest...)
}
