package ipset

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/caddysip/caddysip/internal/globals"
)

// Set is a list of ranges.
type Set []netip.Prefix

// PrivateRanges is what the word private_ranges stands for in a Caddyfile, as in Caddy's own
// matchers.
var PrivateRanges = []string{
	"192.168.0.0/16",
	"172.16.0.0/12",
	"10.0.0.0/8",
	"127.0.0.1/8",
	"fd00::/8",
	"::1",
}

// Expand returns the words of a Caddyfile with private_ranges replaced by what it stands for.
func Expand(words []string) []string {
	if i := slices.Index(words, "private_ranges"); i >= 0 {
		words = slices.Replace(slices.Clone(words), i, i+1, PrivateRanges...)
	}
	return words
}

// Parse reads addresses and ranges in CIDR notation. Placeholders, as {env.NAME}, are replaced.
func Parse(texts []string) (Set, error) {
	var s Set
	for _, text := range texts {
		text, err := globals.Text(text)
		if err != nil {
			return nil, err
		}
		p, err := parse(text)
		if err != nil {
			return nil, err
		}
		s = append(s, p)
	}
	return s, nil
}

func parse(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return p, fmt.Errorf("%q is neither an IP address nor a range of them, as in 10.0.0.0/8", s)
	}
	return p.Masked(), nil
}

// Contains reports whether an address is in one of the ranges.
func (s Set) Contains(addr netip.Addr) bool {
	if len(s) == 0 {
		return false
	}
	addr = addr.Unmap().WithZone("")
	for _, p := range s {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
