package engine

import (
	"net/netip"
	"testing"

	"github.com/caddysip/caddysip/internal/ipset"
)

func TestBelievesPath(t *testing.T) {
	edges, err := ipset.Parse([]string{"10.0.0.0/8", "2001:db8::/32"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		source, path string
		want         bool
	}{
		{"10.0.0.1", "<sip:10.0.0.1;lr>", true},
		{"10.0.0.1", "<sip:x@10.9.9.9:5070;transport=tcp;lr>,<sip:192.0.2.1;lr>", true}, // the second is the edge's to follow
		{"::ffff:10.0.0.1", "<sip:[2001:db8::7];lr>", true},
		{"10.0.0.1", "<sip:edge.example.com;lr>", true}, // held against the list when it is looked up
		{"10.0.0.1", "", false},
		{"192.0.2.1", "<sip:10.0.0.1;lr>", false},
		{"192.0.2.1", "<sip:edge.example.com;lr>", false},
		{"10.0.0.1", "<sip:192.0.2.1;lr>", false},
		{"10.0.0.1", "<sip:192.0.2.1;lr>,<sip:10.0.0.1;lr>", false},
		{"10.0.0.1", "<sip:10.0.0.1;maddr=192.0.2.1;lr>", false},
		{"10.0.0.1", "<sip:10.0.0.1;%6daddr=192.0.2.1;lr>", false},
		{"10.0.0.1", "<sip:[::ffff:192.0.2.1];lr>", false},
		{"10.0.0.1", "<sips:10.0.0.1;lr>", false},
		{"10.0.0.1", "nonsense", false},
	} {
		if got := TrustsPath(edges, netip.MustParseAddr(tc.source), []byte(tc.path)); got != tc.want {
			t.Errorf("%q from %s: %t", tc.path, tc.source, got)
		}
	}
	if TrustsPath(nil, netip.MustParseAddr("10.0.0.1"), []byte("<sip:10.0.0.1;lr>")) {
		t.Error("a Path is followed though nobody's is")
	}
}
