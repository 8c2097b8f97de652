package ipset

import "net/netip"

// Source returns the source that an address belongs to, which shares, limits and bans are counted
// by: an IPv4 address itself, or the /64 of an IPv6 address, because a host has a whole one to call
// from. All hosts of a link have their link-local addresses in one, so of these each is a source.
func Source(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap()
	bits := 64
	if addr.Is4() || addr.IsLinkLocalUnicast() {
		bits = addr.BitLen()
	}
	p, _ := addr.Prefix(bits)
	return p
}
