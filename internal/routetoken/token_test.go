package routetoken

import (
	"net/netip"
	"testing"

	"github.com/caddysip/caddysip/internal/transport"
)

func newSigner(secret string) *Signer {
	return &Signer{Secret: func() []byte { return []byte(secret) }}
}

func TestToken(t *testing.T) {
	s := newSigner("secret")
	v4 := Hop{transport.UDP, netip.MustParseAddrPort("192.0.2.1:5060")}
	v6 := Hop{transport.TCP, netip.MustParseAddrPort("[2001:db8::1]:65535")}
	mapped := Hop{transport.UDP, netip.MustParseAddrPort("[::ffff:192.0.2.1]:5060")}
	for _, test := range []struct{ caller, callee, wantCaller, wantCallee Hop }{
		{v4, v6, v4, v6}, {v6, v4, v6, v4}, {v6, v6, v6, v6}, {v4, Hop{}, v4, Hop{}}, {Hop{}, Hop{}, Hop{}, Hop{}}, {mapped, v4, v4, v4},
	} {
		text := s.Append([]byte("x"), Token{test.caller, test.callee}, []byte("call"), []byte("from"))[1:]
		if len(text) > Room {
			t.Errorf("%s has %d bytes, over %d", text, len(text), Room)
		}
		check := func(what string, s *Signer, callID, from, to string, want Hop, wantOK bool) {
			t.Helper()
			got, ok := s.Read(text, []byte(callID), []byte(from), []byte(to))
			if got != want || ok != wantOK {
				t.Errorf("%s: got %v, %t, want %v, %t", what, got, ok, want, wantOK)
			}
		}
		check("from the caller", s, "call", "from", "to", test.wantCallee, true)
		check("from the callee", s, "call", "to", "from", test.wantCaller, true)
		check("of another call", s, "other", "from", "to", Hop{}, false)
		check("of others", s, "call", "x", "y", Hop{}, false)
		check("cut differently", s, "callf", "rom", "", Hop{}, false)
		check("with another secret", newSigner("other"), "call", "from", "to", Hop{}, false)
		for i := range text {
			for _, c := range []byte{'A', 'b', '_', '=', 0} {
				if changed := append([]byte(nil), text...); changed[i] != c {
					changed[i] = c
					// The last character may have bits that say nothing.
					if _, ok := s.Read(changed, []byte("call"), []byte("from"), []byte("to")); ok && i < len(text)-1 {
						t.Errorf("%s is taken for %s", changed, text)
					}
				}
			}
		}
	}
}

func FuzzToken(f *testing.F) {
	s := newSigner("secret")
	h := Hop{transport.UDP, netip.MustParseAddrPort("192.0.2.1:5060")}
	f.Add(s.Append(nil, Token{h, h}, []byte("call"), []byte("from")))
	f.Add([]byte(""))
	f.Add([]byte("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"))
	f.Fuzz(func(t *testing.T, user []byte) {
		if to, ok := s.Read(user, []byte("other"), []byte("from"), []byte("to")); ok || to != (Hop{}) {
			t.Errorf("%q is taken for a token", user)
		}
	})
}

func BenchmarkToken(b *testing.B) {
	s := newSigner("0123456789abcdef0123456789abcdef")
	h := Hop{transport.UDP, netip.MustParseAddrPort("192.0.2.1:5060")}
	callID, from, to := []byte("a84b4c76e66710@pc33.example.com"), []byte("1928301774"), []byte("a6c85cf")
	var room [Room]byte
	b.ReportAllocs()
	for b.Loop() {
		text := s.Append(room[:0], Token{h, h}, callID, from)
		if _, ok := s.Read(text, callID, from, to); !ok {
			b.Fatal("not taken")
		}
	}
}
