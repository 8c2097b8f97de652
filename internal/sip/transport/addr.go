package transport

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// canonical returns an address in the one form that it has in flows and tables: IPv4 is not mapped
// into IPv6, and the zone is an interface number, which is how the kernel reports it, without a
// look-up for each packet.
func canonical(a netip.AddrPort) netip.AddrPort {
	ip := a.Addr().Unmap()
	if zone := ip.Zone(); zone != "" {
		if _, err := strconv.Atoi(zone); err != nil {
			if ifi, err := net.InterfaceByName(zone); err == nil {
				ip = ip.WithZone(strconv.Itoa(ifi.Index))
			}
		}
	}
	return netip.AddrPortFrom(ip, a.Port())
}

// withScope adds the interface to a link-local address. Only those have one, so it costs nothing
// for others.
func withScope(ip netip.Addr, scope uint32) netip.Addr {
	if scope == 0 {
		return ip
	}
	return ip.WithZone(strconv.FormatUint(uint64(scope), 10))
}

func scopeOf(ip netip.Addr) uint32 {
	zone := ip.Zone()
	if zone == "" {
		return 0
	}
	n, _ := strconv.ParseUint(zone, 10, 32)
	return uint32(n)
}

// socketFamily returns the network name for package net that opens exactly the socket wanted: [::]
// accepts IPv4 as well, 0.0.0.0 only IPv4.
func socketFamily(proto string, ip netip.Addr) string {
	switch {
	case ip.Is4():
		return proto + "4"
	case ip.IsUnspecified():
		return proto
	}
	return proto + "6"
}

// Overlap reports whether two listeners would compete for packets: the same kind of port (all
// streams share TCP's), the same number, and one address that is the other or includes it. Port 0
// is another port each time.
func Overlap(n1 Network, a netip.AddrPort, n2 Network, b netip.AddrPort) bool {
	if n1.Reliable() != n2.Reliable() || a.Port() != b.Port() || a.Port() == 0 {
		return false
	}
	return includes(a.Addr(), b.Addr()) || includes(b.Addr(), a.Addr())
}

// includes reports whether a socket bound to a receives what is sent to b.
func includes(a, b netip.Addr) bool {
	if a.IsUnspecified() {
		return a.Is6() || b.Is4()
	}
	return a == b
}

func listenError(n Network, addr netip.AddrPort, err error) error {
	return fmt.Errorf("listening on %s %s: %w", n, addr, err)
}
