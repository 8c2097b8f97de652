package simnet

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"github.com/caddysip/caddysip/internal/sip/transport"
)

// Host is a machine on a network.
type Host struct {
	n     *Net
	addrs []netip.Addr
	ports uint16 // the latest one given out

	udp   map[netip.AddrPort]*UDPConn
	tcp   map[netip.AddrPort]*Listener
	conns map[[2]netip.AddrPort]*Conn // local, remote
}

// Net returns the network that the host is on.
func (h *Host) Net() *Net { return h.n }

// Addr returns the host's first address.
func (h *Host) Addr() netip.Addr {
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	return h.addrs[0]
}

// Addrs returns the host's addresses.
func (h *Host) Addrs() []netip.Addr {
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	return slices.Clone(h.addrs)
}

// Add gives the host another address. It panics if another host has that.
func (h *Host) Add(a netip.Addr) {
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	if h.n.hosts[a] != nil {
		panic(fmt.Sprintf("%s is taken", a))
	}
	h.n.hosts[a] = h
	h.addrs = append(h.addrs, a)
}

// Remove removes an address from the host. Sockets bound to it receive nothing any more.
func (h *Host) Remove(a netip.Addr) {
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	h.addrs = slices.DeleteFunc(h.addrs, func(o netip.Addr) bool { return o == a })
	delete(h.n.hosts, a)
}

// Crash closes all of the host's sockets without telling the peers, as a power cut does. The host
// can open new ones at once; connections that peers still have with it are reset when they send.
func (h *Host) Crash() {
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	for _, c := range h.udp {
		c.crashed = true
		c.shut()
	}
	for _, l := range h.tcp {
		l.crashed = true
		l.shut(false)
	}
	for _, c := range h.conns {
		c.vanish()
	}
}

// Route implements transport.Net.
func (h *Host) Route(remote netip.Addr) netip.Addr {
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	return h.route(remote)
}

func (h *Host) route(remote netip.Addr) netip.Addr {
	if slices.Contains(h.addrs, remote) {
		return remote
	}
	for _, a := range h.addrs {
		if a.Is4() == remote.Is4() {
			return a
		}
	}
	return netip.Addr{}
}

// has reports whether the host can bind an address.
func (h *Host) has(a netip.Addr) bool { return a.IsUnspecified() || slices.Contains(h.addrs, a) }

// bind returns the address with its port filled in, or an error if it is in use.
func (h *Host) bind(addr netip.AddrPort, used func(netip.AddrPort) bool) (netip.AddrPort, error) {
	if !h.has(addr.Addr()) {
		return addr, syscall.EADDRNOTAVAIL
	}
	if addr.Port() != 0 {
		if used(addr) {
			return addr, syscall.EADDRINUSE
		}
		return addr, nil
	}
	for {
		h.ports = max(h.ports+1, 49152)
		if addr = netip.AddrPortFrom(addr.Addr(), h.ports); !used(addr) {
			return addr, nil
		}
	}
}

// ListenPacket implements transport.Net. The address may be the wildcard; a datagram goes to the
// socket that is bound to its exact destination rather than to a wildcard one.
func (h *Host) ListenPacket(addr netip.AddrPort) (transport.PacketConn, error) {
	c, err := h.ListenUDP(addr)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// ListenUDP is ListenPacket with a concrete result.
func (h *Host) ListenUDP(addr netip.AddrPort) (*UDPConn, error) {
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	addr, err := h.bind(addr, func(a netip.AddrPort) bool { return h.udp[a] != nil })
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "udp", Addr: net.UDPAddrFromAddrPort(addr), Err: err}
	}
	c := &UDPConn{h: h, addr: addr}
	c.wake.L = &h.n.mu
	h.udp[addr] = c
	return c, nil
}

// Listen implements transport.Net.
func (h *Host) Listen(addr netip.AddrPort) (net.Listener, error) {
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	addr, err := h.bind(addr, func(a netip.AddrPort) bool { return h.tcp[a] != nil })
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: net.TCPAddrFromAddrPort(addr), Err: err}
	}
	l := &Listener{h: h, addr: addr}
	l.wake.L = &h.n.mu
	h.tcp[addr] = l
	return l, nil
}

// Dial implements transport.Net.
func (h *Host) Dial(ctx context.Context, remote netip.AddrPort) (net.Conn, error) {
	return h.DialFrom(ctx, netip.AddrPort{}, remote)
}

// udpAt returns the socket that receives datagrams to an address.
func (h *Host) udpAt(a netip.AddrPort) *UDPConn {
	for _, bound := range boundTo(a) {
		if c := h.udp[bound]; c != nil {
			return c
		}
	}
	return nil
}

func (h *Host) tcpAt(a netip.AddrPort) *Listener {
	for _, bound := range boundTo(a) {
		if l := h.tcp[bound]; l != nil {
			return l
		}
	}
	return nil
}

// boundTo returns the addresses that a socket may be bound to in order to receive packets to a, the
// best match first.
func boundTo(a netip.AddrPort) []netip.AddrPort {
	list := []netip.AddrPort{a}
	if a.Addr().Is4() {
		list = append(list, netip.AddrPortFrom(netip.IPv4Unspecified(), a.Port()))
	}
	return append(list, netip.AddrPortFrom(netip.IPv6Unspecified(), a.Port()))
}

// Interface guard
var _ transport.Net = (*Host)(nil)
