package proxy

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"net/netip"
	"sync"

	"github.com/caddysip/caddysip/internal/transport"
)

// hop is a place that requests are sent to.
type hop struct {
	network transport.Network
	addr    netip.AddrPort
}

// token is what a Record-Route of ours carries in its user part, signed: which call it belongs to, and where the two ends really are. So a
// request within a call finds a phone behind NAT, needs no state here, and nobody can make us relay to others by claiming to be in a call.
type token struct {
	caller, callee hop // an address that is not valid stands for wherever the request itself says
}

const (
	macSize   = 9                // bytes; nobody guesses 72 bits over a network
	maxBody   = 2 * (1 + 16 + 2) // of a token, in bytes
	tokenRoom = (maxBody + macSize + 2) / 3 * 4
)

var encoding = base64.RawURLEncoding

// signer makes and checks the signatures of tokens. Setting up a HMAC costs more than using it, so they are kept.
type signer struct {
	secret func() []byte
	pool   sync.Pool
}

// scratch is what signing needs, in one piece.
type scratch struct {
	hash hash.Hash
	body [maxBody + macSize + 1]byte
	sum  [sha256.Size]byte
}

func (s *signer) get() *scratch {
	if v, ok := s.pool.Get().(*scratch); ok {
		return v
	}
	return &scratch{hash: hmac.New(sha256.New, s.secret())}
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

// append appends the token for the call with that Call-ID whose caller has that From tag.
func (s *signer) append(dst []byte, t token, callID, callerTag []byte) []byte {
	v := s.get()
	defer s.pool.Put(v)
	b := appendHop(v.body[:0], t.caller)
	b = appendHop(b, t.callee)
	b = append(b, v.sign(b, callID, callerTag)...)
	return encoding.AppendEncode(dst, b)
}

// read reads a token and returns the end of the call that the request is for: the callee when the From tag is the caller's.
// ok is false when we didn't write the token for this call.
func (s *signer) read(user, callID, fromTag, toTag []byte) (to hop, ok bool) {
	v := s.get()
	defer s.pool.Put(v)
	if encoding.DecodedLen(len(user)) > len(v.body) {
		return hop{}, false
	}
	n, err := encoding.Decode(v.body[:], user)
	if err != nil || n < macSize {
		return hop{}, false
	}
	body, mac := v.body[:n-macSize], v.body[n-macSize:n]
	var t token
	rest, ok1 := readHop(body, &t.caller)
	rest, ok2 := readHop(rest, &t.callee)
	if !ok1 || !ok2 || len(rest) != 0 {
		return hop{}, false
	}
	if hmac.Equal(v.sign(body, callID, fromTag), mac) {
		return t.callee, true
	}
	if hmac.Equal(v.sign(body, callID, toTag), mac) {
		return t.caller, true
	}
	return hop{}, false
}

// A hop is written as network and length of the address in one byte, the address, and the port.
func appendHop(dst []byte, h hop) []byte {
	if !h.addr.IsValid() {
		return append(dst, byte(h.network)<<5)
	}
	if ip := h.addr.Addr().Unmap(); ip.Is4() {
		b := ip.As4()
		dst = append(append(dst, byte(h.network)<<5|4), b[:]...)
	} else {
		b := ip.As16()
		dst = append(append(dst, byte(h.network)<<5|16), b[:]...)
	}
	return append(dst, byte(h.addr.Port()>>8), byte(h.addr.Port()))
}

func readHop(b []byte, h *hop) (rest []byte, ok bool) {
	if len(b) == 0 {
		return nil, false
	}
	h.network = transport.Network(b[0] >> 5)
	n := int(b[0] & 31)
	b = b[1:]
	if n == 0 {
		return b, true
	}
	if len(b) < n+2 {
		return nil, false
	}
	ip, ok := netip.AddrFromSlice(b[:n])
	h.addr = netip.AddrPortFrom(ip, uint16(b[n])<<8|uint16(b[n+1]))
	return b[n+2:], ok
}
