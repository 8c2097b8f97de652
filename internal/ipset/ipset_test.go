package ipset

import (
	"net/netip"
	"testing"
)

func TestSet(t *testing.T) {
	t.Setenv("EDGE", "203.0.113.7")
	s, err := Parse(Expand([]string{"192.0.2.1", "{env.EDGE}", "private_ranges", "2001:db8::/32"}))
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]bool{
		"192.0.2.1": true, "192.0.2.2": false, "203.0.113.7": true, "10.1.2.3": true, "::ffff:10.1.2.3": true, "127.0.0.1": true,
		"2001:db8::7": true, "2001:db9::7": false, "fd00::1%eth0": true,
	} {
		if got := s.Contains(netip.MustParseAddr(addr)); got != want {
			t.Errorf("Contains(%s): %t, want %t", addr, got, want)
		}
	}
	for _, bad := range []string{"", "example.com", "10.0.0.0/40", "::ffff:10.0.0.0/104", "fe80::1%eth0", "{env.NOT_THERE}"} {
		if _, err := Parse([]string{bad}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if Set(nil).Contains(netip.MustParseAddr("127.0.0.1")) {
		t.Error("an empty set contains something")
	}
}
