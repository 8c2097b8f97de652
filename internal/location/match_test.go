package location

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/caddysip/caddysip/wire"
)

// TestMatching registers contacts at random, written in several ways, and compares what is bound
// with what comparing each with each has come to.
func TestMatching(t *testing.T) {
	uris := []string{
		"sip:a@h", "sip:a@H", "sip:%61@h", "sip:a@h;x=1", "sip:a@h;x=2", "sip:a@h;X=1;y", "sip:b@h", "sip:a@h:5060", "sip:a@h;transport=tcp", "sip:a@h;Transport=TCP;x=1",
	}
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		s := newStore(t, Options{})
		var bound []string // in any order
		var r Result
		for cseq := range uint32(30) {
			u := phone(t, 1)
			u.CSeq, u.Contacts = cseq+1, nil
			u.UserAgent = fmt.Append(nil, cseq) // each is another phone
			for range 1 + rnd.IntN(3) {
				uri, err := wire.ParseURI([]byte(uris[rnd.IntN(len(uris))]))
				if err != nil {
					t.Fatal(err)
				}
				expires := uint32(600)
				if rnd.IntN(4) == 0 {
					expires = 0
				}
				u.Contacts = append(u.Contacts, ContactUpdate{URI: uri, Expires: expires, Q: 1000})
			}
			if err := s.Update(u, &r); err != nil {
				t.Fatal(err)
			}
			for _, c := range u.Contacts {
				bound = slices.DeleteFunc(bound, func(text string) bool {
					uri, _ := wire.ParseURI([]byte(text))
					return wire.EqualURI(&uri, &c.URI)
				})
				if c.Expires > 0 {
					bound = append(bound, string(c.URI.Raw))
				}
			}
			var got []string
			for _, b := range s.Lookup(u.AOR, nil) {
				got = append(got, b.Contact())
			}
			slices.Sort(bound)
			if slices.Sort(got); !slices.Equal(got, bound) {
				t.Fatalf("seed %d, after %d: bound are %q, want %q", seed, cseq, got, bound)
			}
		}
	}
}
