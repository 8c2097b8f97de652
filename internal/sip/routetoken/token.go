package routetoken

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"net/netip"
	"strconv"
	"sync"

	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

// Hop is an address that requests are sent to.
type Hop struct {
	Network transport.Network
	Addr    netip.AddrPort
}

// End is one end of a call.
type End struct {
	Hop           // where its packets come from
	Dialed bool   // we made the connection: it listens at the address, and may be dialed again
	User   uint32 // Identity of the user of ours who is there; 0: nobody
}

// Token is what a Record-Route of ours carries in its user part, signed. With it a request within a
// call finds a phone behind a NAT, without any state here, and nobody can make the server relay to
// others by claiming to be in a call.
type Token struct {
	Caller, Callee End
	Made           uint32 // Calls.Now when it was made
	ID             uint64 // its own
	Invite         bool   // an INVITE made the dialog, not a SUBSCRIBE or REFER
}

const (
	macSize = 9                    // bytes; nobody guesses 72 bits over a network
	maxEnd  = 1 + 16 + 4 + 2 + 4   // of an end, in bytes
	maxBody = 1 + 4 + 8 + 2*maxEnd // of a token
	maxSize = maxBody + macSize    // and with its signature

	// Room is the length of the longest token in bytes, as it is written.
	Room = (maxSize + 2) / 3 * 4
)

// The first byte of a token is its version. It is signed, so that a token of one version is not
// valid in another.
const (
	version    = 2
	flagInvite = 0x80
)

var encoding = base64.RawURLEncoding

// Signer makes tokens, and judges the requests that bring them back. It is safe for concurrent use.
// Setting up an HMAC costs more than using it, so they are pooled.
type Signer struct {
	Site  Site   // the server that the tokens are of; its secret is read with the first token
	Calls *Calls // the calls that are over

	pool sync.Pool
}

// scratch is all that signing and looking up need, in one allocation.
type scratch struct {
	hash hash.Hash
	body [maxSize]byte
	sum  [sha256.Size]byte
	aor  [128]byte
	uri  wire.URI
}

func (s *Signer) get() *scratch {
	if v, ok := s.pool.Get().(*scratch); ok {
		return v
	}
	return &scratch{hash: hmac.New(sha256.New, s.Site.Secret())}
}

func (s *Signer) put(v *scratch) {
	v.uri = wire.URI{} // it is part of a message
	s.pool.Put(v)
}

var separator = []byte{0}

// sign returns the signature of a token's body in the call with that Call-ID, whose caller has that
// tag.
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
func (s *Signer) Append(dst []byte, t *Token, callID, callerTag []byte) []byte {
	v := s.get()
	defer s.put(v)
	first := byte(version)
	if t.Invite {
		first |= flagInvite
	}
	b := append(v.body[:0], first)
	b = binary.BigEndian.AppendUint32(b, t.Made)
	b = binary.BigEndian.AppendUint64(b, t.ID)
	b = appendEnd(b, &t.Caller)
	b = appendEnd(b, &t.Callee)
	b = append(b, v.sign(b, callID, callerTag)...)
	return encoding.AppendEncode(dst, b)
}

// Read reads a token that came with a request. caller reports whether the request's From tag is the
// caller's, so that the request goes to the callee. ok is false if we didn't write the token for
// this call.
func (s *Signer) Read(user, callID, fromTag, toTag []byte) (t Token, caller, ok bool) {
	v := s.get()
	defer s.put(v)
	if encoding.DecodedLen(len(user)) > maxSize {
		return Token{}, false, false
	}
	n, err := encoding.Decode(v.body[:], user)
	if err != nil || n < macSize {
		return Token{}, false, false
	}
	body, mac := v.body[:n-macSize], v.body[n-macSize:n]
	if !t.read(body) {
		return Token{}, false, false
	}
	if hmac.Equal(v.sign(body, callID, fromTag), mac) {
		return t, true, true
	}
	if hmac.Equal(v.sign(body, callID, toTag), mac) {
		return t, false, true
	}
	return Token{}, false, false
}

func (t *Token) read(b []byte) bool {
	if len(b) < 1+4+8 || b[0]&^flagInvite != version {
		return false
	}
	t.Invite = b[0]&flagInvite != 0
	t.Made = binary.BigEndian.Uint32(b[1:])
	t.ID = binary.BigEndian.Uint64(b[5:])
	rest, ok1 := readEnd(b[13:], &t.Caller)
	rest, ok2 := readEnd(rest, &t.Callee)
	return ok1 && ok2 && len(rest) == 0
}

// An end is encoded as one byte for the network, whether it was dialed, whether the address has a
// zone, and the IP version; then the address, the zone, the port and the user. Without its zone
// nothing can be sent to a link-local address.
const (
	endNetwork = 5 // bits above
	endZone    = 4
	endDialed  = 2
	endIPv6    = 1
)

func appendEnd(dst []byte, e *End) []byte {
	first := byte(e.Network) << endNetwork
	if e.Dialed {
		first |= endDialed
	}
	if ip := e.Addr.Addr().Unmap(); ip.Is4() {
		b := ip.As4()
		dst = append(append(dst, first), b[:]...)
	} else {
		zone, err := strconv.ParseUint(ip.Zone(), 10, 32)
		if err == nil {
			first |= endZone
		}
		b := ip.As16()
		dst = append(append(dst, first|endIPv6), b[:]...)
		if err == nil {
			dst = binary.BigEndian.AppendUint32(dst, uint32(zone))
		}
	}
	dst = binary.BigEndian.AppendUint16(dst, e.Addr.Port())
	return binary.BigEndian.AppendUint32(dst, e.User)
}

func readEnd(b []byte, e *End) (rest []byte, ok bool) {
	if len(b) == 0 {
		return nil, false
	}
	n := 4
	if b[0]&endIPv6 != 0 {
		n = 16
	}
	zone := 0
	if b[0]&endZone != 0 {
		zone = 4
	}
	if len(b) < 1+n+zone+2+4 {
		return nil, false
	}
	e.Network = transport.Network(b[0] >> endNetwork)
	e.Dialed = b[0]&endDialed != 0
	ip, _ := netip.AddrFromSlice(b[1 : 1+n])
	b = b[1+n:]
	if zone > 0 {
		ip = ip.WithZone(strconv.FormatUint(uint64(binary.BigEndian.Uint32(b)), 10))
		b = b[zone:]
	}
	e.Addr = netip.AddrPortFrom(ip, binary.BigEndian.Uint16(b))
	e.User = binary.BigEndian.Uint32(b[2:])
	return b[6:], true
}
