package transport

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	maxRoutes = 4096
	routeLife = 30 * time.Second
)

// routes caches which of our addresses the kernel sends from to reach another. The look-up takes a
// few system calls, so the result is kept for a while; addresses and routes change, so it is not
// kept for long.
type routes struct {
	mu    sync.RWMutex
	known map[netip.Addr]route
}

type route struct {
	local   netip.Addr // invalid if there was no way
	expires time.Time
}

// local returns the address that packets to remote leave from, or an invalid one if there is no
// route. It calls look if that isn't cached.
func (r *routes) local(remote netip.Addr, look func(netip.Addr) netip.Addr) netip.Addr {
	now := time.Now()
	r.mu.RLock()
	found, ok := r.known[remote]
	r.mu.RUnlock()
	if ok && now.Before(found.expires) {
		return found.local
	}
	local := look(remote)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil || len(r.known) >= maxRoutes {
		r.known = make(map[netip.Addr]route)
	}
	r.known[remote] = route{local, now.Add(routeLife)}
	return local
}

// forget drops the entry of remote, because sending there has failed.
func (r *routes) forget(remote netip.Addr) {
	r.mu.Lock()
	delete(r.known, remote)
	r.mu.Unlock()
}

// owns reports whether an address is one of this host's. What the system says is kept for as long as
// a route.
func (m *Manager) owns(ip netip.Addr) bool {
	return m.owned.local(ip, func(ip netip.Addr) netip.Addr {
		if m.opts.Net != nil {
			return ip
		}
		c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
		if err != nil {
			return netip.Addr{}
		}
		c.Close()
		return ip
	}).IsValid()
}

// lookupRoute asks the kernel by connecting a datagram socket, which sends nothing.
func lookupRoute(remote netip.Addr) netip.Addr {
	// Any port will do; 9 is discard.
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(remote, 9)))
	if err != nil {
		return netip.Addr{}
	}
	defer c.Close()
	return canonical(c.LocalAddr().(*net.UDPAddr).AddrPort()).Addr()
}
