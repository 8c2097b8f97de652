package transport

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// Listener is a listening address: over UDP one or more sockets that share it, otherwise one socket
// that accepts connections.
type Listener struct {
	m        *Manager
	network  Network
	addr     netip.AddrPort
	wildcard bool
	routes   routes
	limits   atomic.Pointer[Limits]

	shared bool // it shares the port with a listener that is being drained

	udp    []*udpSocket
	packet *packetSocket // instead of udp, on Options.Net
	tcp    net.Listener

	once     sync.Once
	closed   chan struct{}
	closeErr error
}

// Network returns the listener's transport.
func (l *Listener) Network() Network { return l.network }

// Addr returns the address, with the actual port if 0 was asked for.
func (l *Listener) Addr() netip.AddrPort { return l.addr }

// Flow returns the way to send a new request to remote from this UDP socket. On a wildcard address
// Local is the address that the kernel uses for that destination, or the zero AddrPort if it knows
// no route. Other transports need a connection: see [Manager.Dial].
func (l *Listener) Flow(remote netip.AddrPort) Flow {
	remote = canonical(remote)
	return Flow{Network: l.network, Remote: remote, Local: l.localFor(remote.Addr()), Listener: l}
}

// FlowFrom is Flow with a given address of ours to send from, as one that a phone has registered at:
// its NAT, and many a phone, takes nothing from another. It is Flow if the listener does not have
// that address, or no longer.
func (l *Listener) FlowFrom(remote, local netip.AddrPort) Flow {
	remote = canonical(remote)
	ip, to := local.Addr(), remote.Addr()
	if ip.IsLinkLocalUnicast() {
		ip = ip.WithZone(to.Zone())
	}
	if !choosesSource || !l.wildcard || !ip.IsValid() || ip.Is4() != to.Is4() || ip.IsLoopback() != to.IsLoopback() || !l.m.owns(ip) {
		return l.Flow(remote)
	}
	return Flow{Network: l.network, Remote: remote, Local: netip.AddrPortFrom(ip, l.addr.Port()), Listener: l}
}

// localFor returns the address to send to remote from.
func (l *Listener) localFor(remote netip.Addr) netip.AddrPort {
	if !l.wildcard {
		return l.addr
	}
	ip := l.routes.local(remote, l.m.route)
	if !ip.IsValid() {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ip, l.addr.Port())
}

// Covers reports whether packets to an address arrive here, unless another listener is bound to
// exactly that address.
func (l *Listener) Covers(local netip.AddrPort) bool {
	return local.Port() == l.addr.Port() && includes(l.addr.Addr(), local.Addr())
}

// Close stops listening; the port is free when it returns. Accepted connections stay open.
// Datagrams queued on a UDP socket are lost: to drain it, keep it open meanwhile. A handler may
// still be running when Close returns.
func (l *Listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		if l.tcp != nil {
			l.closeErr = l.tcp.Close()
		}
		if l.packet != nil {
			l.closeErr = l.packet.conn.Close()
		}
		for _, s := range l.udp {
			if err := s.close(); err != nil {
				l.closeErr = err
			}
		}
		l.m.forget(l)
	})
	return l.closeErr
}

// isClosed reports whether the listener was closed, so that an error on it means nothing.
func (l *Listener) isClosed() bool {
	select {
	case <-l.closed:
		return true
	default:
		return false
	}
}
