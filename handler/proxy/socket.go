package proxy

import (
	"net/netip"

	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

// socket returns the listener that a URI of ours names, nil if it is gone, and the address.
func (p *Proxy) socket(u *wire.URI) (*transport.Listener, netip.AddrPort) {
	h, ok, err := literal(u)
	if !ok || err != nil {
		return nil, netip.AddrPort{}
	}
	return p.listener(h), h.Addr
}

// listener returns the listener that has an address, nil if there is none.
func (p *Proxy) listener(h hop) *transport.Listener {
	for _, l := range p.in.Listeners() {
		a := l.Addr()
		if l.Network() == h.Network && a.Port() == h.Addr.Port() &&
			(a.Addr().WithZone("") == h.Addr.Addr().WithZone("") || a.Addr().IsUnspecified()) {
			return l
		}
	}
	return nil
}
