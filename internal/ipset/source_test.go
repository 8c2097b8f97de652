package ipset

import (
	"net/netip"
	"testing"
)

func TestSource(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1":        "192.0.2.1/32",
		"169.254.1.1":      "169.254.1.1/32",
		"::ffff:192.0.2.1": "192.0.2.1/32",
		"2001:db8::1":      "2001:db8::/64",
		"2001:db8:0:1::9":  "2001:db8:0:1::/64",
		"fd00::1":          "fd00::/64",
		"fe80::1":          "fe80::1/128",
		"fe80::1%3":        "fe80::1/128",
		"fe80::9%eth0":     "fe80::9/128",
		"::1":              "::/64",
	} {
		if got := Source(netip.MustParseAddr(addr)); got.String() != want {
			t.Errorf("%s is of %s, want %s", addr, got, want)
		}
	}
}
