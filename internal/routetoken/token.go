// Package routetoken is what a Record-Route of ours says: which call it is for, and where the call's two ends are. Signing it is what lets a request
// within a call be trusted without state.
package routetoken

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"net/netip"
	"sync"

	"github.com/caddysip/caddysip/internal/transport"
)

// Hop is a place that requests are sent to.
type Hop struct {
	Network transport.Network
	Addr    netip.AddrPort
}

// Token is what a Record-Route of ours carries in its user part, signed: which call it belongs to, and where the two ends really are. So a
// request within a call finds a phone behind NAT, needs no state here, and nobody can make us relay to others by claiming to be in a call.
type Token struct {
	Caller, Callee Hop // an address that is not valid stands for wherever the request itself says
}

const (
	macSize = 9                // bytes; nobody guesses 72 bits over a network
	maxBody = 2 * (1 + 16 + 2) // of a token, in bytes

	// Room is how long a token is at most, in bytes.
	Room = (maxBody + macSize + 2) / 3 * 4
)

var encoding = base64.RawURLEncoding

// Signer makes and checks the signatures of tokens. Setting up a HMAC costs more than using it, so they are kept.
type Signer struct {
	// Secret returns the key. It is asked when the first token is made or read, and may return something else before that. Must be set.
	Secret func() []byte

	pool sync.Pool
}

// scratch is what signing needs, in one piece.
type scratch struct {
	hash hash.Hash
	body [maxBody + macSize + 1]byte
	sum  [sha256.Size]byte
}

func (s *Signer) get() *scratch {
	if v, ok := s.pool.Get().(*scratch); ok {
		return v
	}
	return &scratch{hash: hmac.New(sha256.New, s.Secret())}
}

var separator = []byte{0}

// sign returns the signature of a token's body in the call with that Call-ID, whose caller has that tag.
func (v *scratch) sign(body, callID, callerTag []byte) []byte {
	v.hash.Reset()
	v.hash.Write(body)
	v.hash.Write(separator)
	v.hash.Write(callID)
	v.hash.Write(separator)
	v.hash.Write(callerTag)
	return v.hash.Sum(v.sum[:0])[:macSize]
}

// Append appends the token for the call with that Call-ID whose caller has that From tag.
func (s *Signer) Append(dst []byte, t Token, callID, callerTag []byte) []byte {
	v := s.get()
	defer s.pool.Put(v)
	b := appendHop(v.body[:0], t.Caller)
	b = appendHop(b, t.Callee)
	b = append(b, v.sign(b, callID, callerTag)...)
	return encoding.AppendEncode(dst, b)
}

// Read reads a token and returns the end of the call that the request is for: the callee when the From tag is the caller's.
// ok is false when we didn't write the token for this call.
func (s *Signer) Read(user, callID, fromTag, toTag []byte) (to Hop, ok bool) {
	v := s.get()
	defer s.pool.Put(v)
	if encoding.DecodedLen(len(user)) > len(v.body) {
		return Hop{}, false
	}
	n, err := encoding.Decode(v.body[:], user)
	if err != nil || n < macSize {
		return Hop{}, false
	}
	body, mac := v.body[:n-macSize], v.body[n-macSize:n]
	var t Token
	rest, ok1 := readHop(body, &t.Caller)
	rest, ok2 := readHop(rest, &t.Callee)
	if !ok1 || !ok2 || len(rest) != 0 {
		return Hop{}, false
	}
	if hmac.Equal(v.sign(body, callID, fromTag), mac) {
		return t.Callee, true
	}
	if hmac.Equal(v.sign(body, callID, toTag), mac) {
		return t.Caller, true
	}
	return Hop{}, false
}

// A hop is written as network and length of the address in one byte, the address, and the port.
func appendHop(dst []byte, h Hop) []byte {
	if !h.Addr.IsValid() {
		return append(dst, byte(h.Network)<<5)
	}
	if ip := h.Addr.Addr().Unmap(); ip.Is4() {
		b := ip.As4()
		dst = append(append(dst, byte(h.Network)<<5|4), b[:]...)
	} else {
		b := ip.As16()
		dst = append(append(dst, byte(h.Network)<<5|16), b[:]...)
	}
	return append(dst, byte(h.Addr.Port()>>8), byte(h.Addr.Port()))
}

func readHop(b []byte, h *Hop) (rest []byte, ok bool) {
	if len(b) == 0 {
		return nil, false
	}
	h.Network = transport.Network(b[0] >> 5)
	n := int(b[0] & 31)
	b = b[1:]
	if n == 0 {
		return b, true
	}
	if len(b) < n+2 {
		return nil, false
	}
	ip, ok := netip.AddrFromSlice(b[:n])
	h.Addr = netip.AddrPortFrom(ip, uint16(b[n])<<8|uint16(b[n+1]))
	return b[n+2:], ok
}
