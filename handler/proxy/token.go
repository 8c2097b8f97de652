package proxy

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/netip"

	"github.com/caddysip/caddysip/internal/transport"
)

// hop is one end of a call, as we see it: how it is reached.
type hop struct {
	network transport.Network
	addr    netip.AddrPort // not valid: as its Contact says
}

// token is what a Record-Route of ours carries in its user part, signed: which call it belongs to, and where its two ends really are. So a
// request within a call finds a phone behind NAT, needs no state here, and nobody can make us relay to others by claiming to be in a call.
type token struct {
	caller, callee hop
}

const macSize = 9 // bytes; with the rest a multiple of three, so that base64 needs no padding

var encoding = base64.RawURLEncoding

// append appends the token for the call with that Call-ID whose caller has that From tag.
func (t *token) append(dst, secret, callID, callerTag []byte) []byte {
	var buf [64]byte
	b := appendHop(buf[:0], t.caller)
	b = appendHop(b, t.callee)
	sum := mac(secret, b, callID, callerTag)
	b = append(b, sum[:macSize]...)
	return encoding.AppendEncode(dst, b)
}

// readToken reads a token and returns the end of the call that the request is for: the callee when the From tag is the caller's.
// ok is false when we didn't write the token for this call.
func readToken(user, secret, callID, fromTag, toTag []byte) (to hop, ok bool) {
	var buf [64]byte
	if len(user) == 0 || encoding.DecodedLen(len(user)) > len(buf) {
		return hop{}, false
	}
	n, err := encoding.Decode(buf[:], user)
	if err != nil || n < macSize {
		return hop{}, false
	}
	body, given := buf[:n-macSize], buf[n-macSize:n]
	var t token
	rest, ok1 := readHop(body, &t.caller)
	rest, ok2 := readHop(rest, &t.callee)
	if !ok1 || !ok2 || len(rest) != 0 {
		return hop{}, false
	}
	if sum := mac(secret, body, callID, fromTag); hmac.Equal(sum[:macSize], given) {
		return t.callee, true
	}
	if sum := mac(secret, body, callID, toTag); hmac.Equal(sum[:macSize], given) {
		return t.caller, true
	}
	return hop{}, false
}

func mac(secret, body, callID, tag []byte) [sha256.Size]byte {
	h := hmac.New(sha256.New, secret)
	h.Write(body)
	h.Write([]byte{0})
	h.Write(callID)
	h.Write([]byte{0})
	h.Write(tag)
	var sum [sha256.Size]byte
	h.Sum(sum[:0])
	return sum
}

// A hop is written as network and length of the address in one byte, the address, and the port.
func appendHop(dst []byte, h hop) []byte {
	if !h.addr.IsValid() {
		return append(dst, byte(h.network)<<5)
	}
	ip := h.addr.Addr().AsSlice()
	dst = append(dst, byte(h.network)<<5|byte(len(ip)))
	dst = append(dst, ip...)
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
