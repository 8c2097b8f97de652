package engine

import (
	"net/netip"
	"slices"

	"github.com/caddysip/caddysip/internal/sip/transport"
)

// SentBy returns the address by which we can be reached over a flow, for Via and Record-Route: of a connection that we made ourselves, the
// port that we listen on, not the one the connection has.
func (g *Generation) SentBy(f transport.Flow) netip.AddrPort {
	if f.Listener != nil {
		return netip.AddrPortFrom(f.Local.Addr(), f.Listener.Addr().Port())
	}
	for _, l := range g.Listeners {
		if l.Network() == f.Network {
			return netip.AddrPortFrom(f.Local.Addr(), l.Addr().Port())
		}
	}
	return f.Local
}

// FlowTo returns a flow to an address without waiting: from the preferred listener if it is one of the generation's and fits, else from any that fits, or down a
// connection that exists. ok is false when a connection would have to be made.
func (e *Engine) FlowTo(g *Generation, network transport.Network, remote netip.AddrPort, preferred *transport.Listener) (f transport.Flow, ok bool) {
	if network.Reliable() {
		c, ok := e.Transport.Conn(network, remote)
		if !ok {
			return transport.Flow{}, false
		}
		return c.Flow(), true
	}
	if preferred != nil && slices.Contains(g.Listeners, preferred) && fits(preferred, remote.Addr()) {
		return preferred.Flow(remote), true
	}
	for _, l := range g.Listeners {
		if fits(l, remote.Addr()) {
			return l.Flow(remote), true
		}
	}
	return transport.Flow{}, false
}

// fits tells whether a listener can send UDP to an address: same IP version, and a socket bound to a loopback address reaches only those.
func fits(l *transport.Listener, remote netip.Addr) bool {
	local := l.Addr().Addr()
	switch {
	case l.Network() != transport.UDP:
		return false
	case local.IsUnspecified():
		return local.Is6() || remote.Is4()
	}
	return local.Is4() == remote.Is4() && local.IsLoopback() == remote.IsLoopback()
}
