package snom

import "testing"

func TestModels(t *testing.T) {
	own := Models{{Name: "D999", Keys: 20}, {Name: "370", Keys: 99}}
	for _, tc := range []struct {
		name  string
		keys  int
		known bool
	}{
		{"D999", 20, true},
		{"d999", 20, true},
		{"999", 20, true},
		{"D370", 99, true},
		{"D785", 24, true},
		{"D998", DefaultKeys, false},
	} {
		if m, known := own.Lookup(tc.name); m.Name != tc.name || m.Keys != tc.keys || known != tc.known {
			t.Errorf("%s: %+v, %v", tc.name, m, known)
		}
	}
	for _, tc := range []struct {
		a, b string
		same bool
	}{{"D785", "785", true}, {"mp", "MP", true}, {"D", "d", true}, {"785", "765", false}, {"Desk", "esk", false}, {"", "D", false}} {
		if got := SameModel(tc.a, tc.b); got != tc.same {
			t.Errorf("%q and %q: %v", tc.a, tc.b, got)
		}
	}
}
