package ipset

import "net/netip"

// special are the ranges without hosts on the Internet (RFC 6890 and the IANA registries), except
// those for documentation, which lead nowhere.
var special = []struct {
	kind   string
	ranges []netip.Prefix
}{
	{"unspecified", prefixes("0.0.0.0/8", "::/128")},
	{"loopback", prefixes("127.0.0.0/8", "::1/128")},
	{"link-local", prefixes("169.254.0.0/16", "fe80::/10")},
	{"private", prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10")},
	{"shared", prefixes("100.64.0.0/10")}, // behind the NAT of a provider, RFC 6598
	{"multicast", prefixes("224.0.0.0/4", "ff00::/8")},
	{"broadcast", prefixes("255.255.255.255/32")},
	{
		"reserved",
		prefixes("192.0.0.0/24", "198.18.0.0/15", "240.0.0.0/4", "64:ff9b:1::/48", "100::/64"),
	},
}

// embedding are the ranges of IPv6 addresses that contain an IPv4 address, and the byte where it
// starts.
var embedding = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("::/96"), 12},           // IPv4-compatible, RFC 4291 §2.5.5.1
	{netip.MustParsePrefix("::ffff:0:0:0/96"), 12}, // IPv4-translated, RFC 7915
	{netip.MustParsePrefix("64:ff9b::/96"), 12},    // NAT64, RFC 6052
	{netip.MustParsePrefix("2002::/16"), 2},        // 6to4, RFC 3056
	{netip.MustParsePrefix("2001::/32"), 4},        // the server of Teredo, RFC 4380
}

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}
	return list
}

// Special returns the kind of an address that is not a single host on the Internet: unspecified,
// loopback, link-local, private, shared, multicast, broadcast or reserved. It is empty for all
// other addresses. An IPv6 address that contains an IPv4 address has the kind of that.
func Special(a netip.Addr) (kind string) {
	a = a.Unmap().WithZone("")
	for _, s := range special {
		for _, p := range s.ranges {
			if p.Contains(a) {
				return s.kind
			}
		}
	}
	if !a.Is6() {
		return ""
	}
	b := a.As16()
	for _, e := range embedding {
		if e.prefix.Contains(a) {
			kind = Special(netip.AddrFrom4([4]byte(b[e.at:])))
		}
	}
	if kind == "" && b[0] == 0x20 && b[1] == 1 && b[2] == 0 && b[3] == 0 {
		// The client of Teredo, whose bits are inverted (RFC 4380 §4).
		kind = Special(netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}))
	}
	return kind
}
