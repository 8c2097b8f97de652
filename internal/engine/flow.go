package engine

import (
	"net/netip"
	"slices"

	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

// SentBy returns the host and port that we can be reached at over a flow, for Via and Record-Route:
// what is advertised for the listener, else its address. For a connection that we opened ourselves
// that is the port we listen on, not the connection's local port.
func (g *Generation) SentBy(f transport.Flow) wire.HostPort {
	l := f.Listener
	if l == nil || g.Advertise != nil {
		for i, own := range g.Listeners {
			if own != l && (l != nil || own.Network() != f.Network) {
				continue
			}
			if g.Advertise != nil && g.Advertise[i].Addr.Port() != 0 {
				return g.Advertise[i]
			}
			l = own
			break
		}
	}
	if l == nil {
		return wire.HostPort{Addr: f.Local}
	}
	return wire.HostPort{Addr: netip.AddrPortFrom(f.Local.Addr(), l.Addr().Port())}
}

// FlowTo returns a flow to an address without waiting. On UDP it is from the preferred listener, if
// that belongs to g and can reach the address, else from the first listener that can; on a stream
// it is an open connection. ok is false if there is none and a connection would have to be opened.
// A preferred listener on a wildcard address sends from local, if that is valid, and else from the
// address that the system chooses.
func (e *Engine) FlowTo(
	g *Generation, network transport.Network, remote netip.AddrPort, preferred *transport.Listener,
	local netip.AddrPort,
) (f transport.Flow, ok bool) {
	if network.Reliable() {
		c, ok := e.Transport.Conn(network, remote)
		if !ok {
			return transport.Flow{}, false
		}
		return c.Flow(), true
	}
	if preferred != nil && slices.Contains(g.Listeners, preferred) &&
		canReach(preferred, remote.Addr()) {
		return preferred.FlowFrom(remote, local), true
	}
	for _, l := range g.Listeners {
		if canReach(l, remote.Addr()) {
			return l.Flow(remote), true
		}
	}
	return transport.Flow{}, false
}

// canReach reports whether a listener can send UDP to an address: both are of one IP version, and a
// socket bound to a loopback address reaches only loopback addresses.
func canReach(l *transport.Listener, remote netip.Addr) bool {
	local := l.Addr().Addr()
	switch {
	case l.Network() != transport.UDP:
		return false
	case local.IsUnspecified():
		return local.Is6() || remote.Is4()
	}
	return local.Is4() == remote.Is4() && local.IsLoopback() == remote.IsLoopback()
}
