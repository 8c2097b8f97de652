package proxy

import (
	"net/netip"
	"testing"

	"github.com/caddysip/caddysip/internal/transport"
)

func newSigner(secret string) *signer {
	return &signer{secret: func() []byte { return []byte(secret) }}
}

func TestToken(t *testing.T) {
	s := newSigner("secret")
	v4 := hop{transport.UDP, netip.MustParseAddrPort("192.0.2.1:5060")}
	v6 := hop{transport.TCP, netip.MustParseAddrPort("[2001:db8::1]:65535")}
	mapped := hop{transport.UDP, netip.MustParseAddrPort("[::ffff:192.0.2.1]:5060")}
	for _, test := range []struct{ caller, callee, wantCaller, wantCallee hop }{
		{v4, v6, v4, v6}, {v6, v4, v6, v4}, {v6, v6, v6, v6}, {v4, hop{}, v4, hop{}}, {hop{}, hop{}, hop{}, hop{}}, {mapped, v4, v4, v4},
	} {
		text := s.append([]byte("x"), token{test.caller, test.callee}, []byte("call"), []byte("from"))[1:]
		if len(text) > tokenRoom {
			t.Errorf("%s has %d bytes, over %d", text, len(text), tokenRoom)
		}
		check := func(what string, s *signer, callID, from, to string, want hop, wantOK bool) {
			t.Helper()
			got, ok := s.read(text, []byte(callID), []byte(from), []byte(to))
			same(t, what, ok, wantOK)
			same(t, what, got, want)
		}
		check("from the caller", s, "call", "from", "to", test.wantCallee, true)
		check("from the callee", s, "call", "to", "from", test.wantCaller, true)
		check("of another call", s, "other", "from", "to", hop{}, false)
		check("of others", s, "call", "x", "y", hop{}, false)
		check("cut differently", s, "callf", "rom", "", hop{}, false)
		check("with another secret", newSigner("other"), "call", "from", "to", hop{}, false)
		for i := range text {
			for _, c := range []byte{'A', 'b', '_', '=', 0} {
				if changed := append([]byte(nil), text...); changed[i] != c {
					changed[i] = c
					// The last character may have bits that say nothing.
					if _, ok := s.read(changed, []byte("call"), []byte("from"), []byte("to")); ok && i < len(text)-1 {
						t.Errorf("%s is taken for %s", changed, text)
					}
				}
			}
		}
	}
}

func FuzzToken(f *testing.F) {
	s := newSigner("secret")
	h := hop{transport.UDP, netip.MustParseAddrPort("192.0.2.1:5060")}
	f.Add(s.append(nil, token{h, h}, []byte("call"), []byte("from")))
	f.Add([]byte(""))
	f.Add([]byte("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"))
	f.Fuzz(func(t *testing.T, user []byte) {
		if to, ok := s.read(user, []byte("other"), []byte("from"), []byte("to")); ok || to != (hop{}) {
			t.Errorf("%q is taken for a token", user)
		}
	})
}

func BenchmarkToken(b *testing.B) {
	s := newSigner("0123456789abcdef0123456789abcdef")
	h := hop{transport.UDP, netip.MustParseAddrPort("192.0.2.1:5060")}
	callID, from, to := []byte("a84b4c76e66710@pc33.example.com"), []byte("1928301774"), []byte("a6c85cf")
	var room [tokenRoom]byte
	b.ReportAllocs()
	for b.Loop() {
		text := s.append(room[:0], token{h, h}, callID, from)
		if _, ok := s.read(text, callID, from, to); !ok {
			b.Fatal("not taken")
		}
	}
}
