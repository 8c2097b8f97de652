package routetoken

import (
	"net/netip"
	"testing"

	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

// site serves the host example.com, and listens at 192.0.2.10:5060.
type site struct {
	secret string
	store  *location.Store
}

func (s *site) Secret() []byte            { return []byte(s.secret) }
func (s *site) Location() *location.Store { return s.store }
func (s *site) IsLocal(host []byte) bool {
	return string(host) == "example.com" || string(host) == "192.0.2.10"
}
func (s *site) IsSelf(u *wire.URI) bool {
	return s.IsLocal(u.Host) && (u.Port == 0 || u.Port == 5060)
}
func (s *site) Serves(u *wire.URI) bool { return s.IsSelf(u) }
func (s *site) AppendAOR(dst []byte, u *wire.URI) ([]byte, bool) {
	return u.AppendAOR(dst), s.IsLocal(u.Host)
}

func newSigner(secret string) *Signer {
	return &Signer{Site: &site{secret: secret}, Calls: NewCalls()}
}

func TestToken(t *testing.T) {
	s := newSigner("secret")
	hop := func(n transport.Network, addr string) Hop { return Hop{n, netip.MustParseAddrPort(addr)} }
	v4 := End{Hop: hop(transport.UDP, "192.0.2.1:5060"), User: 7}
	v6 := End{Hop: hop(transport.TCP, "[2001:db8::1]:65535"), User: 1<<32 - 1, Dialed: true}
	wss := End{Hop: hop(transport.WSS, "192.0.2.9:1")}
	linkLocal := End{Hop: hop(transport.UDP, "[fe80::1%4294967295]:5060"), User: 7}
	mapped := End{Hop: hop(transport.UDP, "[::ffff:192.0.2.1]:5060"), User: 7}
	for _, test := range []struct{ caller, callee, wantCaller, wantCallee End }{
		{v4, v6, v4, v6}, {v6, v4, v6, v4}, {v6, v6, v6, v6}, {v4, wss, v4, wss},
		{linkLocal, linkLocal, linkLocal, linkLocal}, {v4, linkLocal, v4, linkLocal},
		{mapped, v4, v4, v4},
	} {
		for _, invite := range []bool{true, false} {
			token := Token{Caller: test.caller, Callee: test.callee, Made: 1<<32 - 2, ID: 1<<63 + 5, Invite: invite}
			text := s.Append([]byte("x"), &token, []byte("call"), []byte("from"))[1:]
			token.Caller, token.Callee = test.wantCaller, test.wantCallee
			checkToken(t, s, text, token)
		}
	}
}

func checkToken(t *testing.T, s *Signer, text []byte, want Token) {
	if len(text) > Room {
		t.Errorf("%s has %d bytes, over %d", text, len(text), Room)
	}
	check := func(what string, s *Signer, callID, from, to string, want Token, wantCaller, wantOK bool) {
		t.Helper()
		got, caller, ok := s.Read(text, []byte(callID), []byte(from), []byte(to))
		if got != want || caller != wantCaller || ok != wantOK {
			t.Errorf("%s: got %v, %t, %t, want %v, %t, %t", what, got, caller, ok, want, wantCaller, wantOK)
		}
	}
	check("from the caller", s, "call", "from", "to", want, true, true)
	check("from the callee", s, "call", "to", "from", want, false, true)
	check("of another call", s, "other", "from", "to", Token{}, false, false)
	check("of others", s, "call", "x", "y", Token{}, false, false)
	check("cut differently", s, "callf", "rom", "", Token{}, false, false)
	check("with another secret", newSigner("other"), "call", "from", "to", Token{}, false, false)
	for i := range text {
		for _, c := range []byte{'A', 'b', '_', '=', 0} {
			if changed := append([]byte(nil), text...); changed[i] != c {
				changed[i] = c
				// The last character may have bits that say nothing.
				if _, _, ok := s.Read(changed, []byte("call"), []byte("from"), []byte("to")); ok && i < len(text)-1 {
					t.Errorf("%s is taken for %s", changed, text)
				}
			}
		}
	}
}

// TestOldToken has a token as it was written when one was good for ever, and for any address: its
// signature was good, and is not any more.
func TestOldToken(t *testing.T) {
	s := newSigner("secret")
	v := s.get()
	for _, body := range []string{"\x04\xc0\x00\x02\x01\x13\xc4\x00", "\x04\xc0\x00\x02\x01\x13\xc4\x04\xc0\x00\x02\x01\x13\xc4"} {
		b := append([]byte(body), v.sign([]byte(body), []byte("call"), []byte("from"))...)
		if _, _, ok := s.Read(encoding.AppendEncode(nil, b), []byte("call"), []byte("from"), []byte("to")); ok {
			t.Errorf("%x is taken", body)
		}
	}
}

func FuzzToken(f *testing.F) {
	s := newSigner("secret")
	e := End{Hop: Hop{transport.UDP, netip.MustParseAddrPort("192.0.2.1:5060")}}
	f.Add(s.Append(nil, &Token{Caller: e, Callee: e}, []byte("call"), []byte("from")))
	f.Add([]byte(""))
	f.Add([]byte("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"))
	f.Fuzz(func(t *testing.T, user []byte) {
		if got, _, ok := s.Read(user, []byte("other"), []byte("from"), []byte("to")); ok || got != (Token{}) {
			t.Errorf("%q is taken for a token", user)
		}
	})
}

func BenchmarkToken(b *testing.B) {
	s := newSigner("0123456789abcdef0123456789abcdef")
	e := End{Hop: Hop{transport.UDP, netip.MustParseAddrPort("192.0.2.1:5060")}, User: 1}
	callID, from, to := []byte("a84b4c76e66710@pc33.example.com"), []byte("1928301774"), []byte("a6c85cf")
	var room [Room]byte
	b.ReportAllocs()
	for b.Loop() {
		text := s.Append(room[:0], &Token{Caller: e, Callee: e, Made: 1, ID: 2}, callID, from)
		if _, _, ok := s.Read(text, callID, from, to); !ok {
			b.Fatal("not taken")
		}
	}
}
