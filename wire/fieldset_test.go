package wire

import (
	"strings"
	"testing"
)

func TestFieldSet(t *testing.T) {
	names := []string{"P-Asserted-Identity", "Diversion", "X-A", "X-B", "A-X"}
	s := NewFieldSet(names...)
	for _, n := range names {
		for _, n := range []string{n, strings.ToLower(n), strings.ToUpper(n)} {
			if !s.Has([]byte(n)) {
				t.Errorf("%s is in the set", n)
			}
			if s.Has([]byte(n+"x")) || s.Has([]byte(n[1:])) {
				t.Errorf("%s is taken for another", n)
			}
		}
	}
	if s.Has(nil) || mustParse(t, request("+X-C: a", "+Event: b")).HasAny(s) {
		t.Error("found what is not there")
	}
	m := mustParse(t, request("+x-a : 1", "+Subject: s", "+DIVERSION:\r\n 2", "+diversion: 3"))
	var e Edits
	e.DeleteHeaders(m, s)
	if !m.HasAny(s) || string(e.Append(nil, m.Raw)) != string(request("+Subject: s")) {
		t.Errorf("left: %q", e.Append(nil, m.Raw))
	}
}
