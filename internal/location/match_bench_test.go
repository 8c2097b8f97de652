package location

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddysip/caddysip/wire"
)

// hostile returns n Contacts that are equal in all but one parameter, the last to be compared, as
// long as they may be.
func hostile(tb testing.TB, n, base int) (list []ContactUpdate) {
	var params strings.Builder
	for i := range 60 {
		fmt.Fprintf(&params, ";aaaaaaaa%02d=1", i)
	}
	for i := range n {
		u, err := wire.ParseURI(fmt.Appendf(nil, "sip:u@h%s;z=%d", params.String(), base+i))
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, ContactUpdate{URI: u, Q: 1000})
	}
	return list
}

// BenchmarkHostile compares 20 Contacts with ten that are bound, each in all of its parameters.
func BenchmarkHostile(b *testing.B) {
	s := newStore(b, Options{})
	u := phone(b, 1)
	var r Result
	u.Contacts, u.Max = hostile(b, 10, 0), 10
	for i := range u.Contacts {
		u.Contacts[i].Expires = 600
	}
	if err := s.Update(u, &r); err != nil {
		b.Fatal(err)
	}
	u.Contacts = hostile(b, 20, 100)
	b.ReportAllocs()
	for b.Loop() {
		u.CSeq++
		if err := s.Update(u, &r); err != nil || len(r.Bindings) != 10 {
			b.Fatal(err, len(r.Bindings))
		}
	}
}
