package digest

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	mathrand "math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// A nonce is the time when it was made, in milliseconds, a random number, the port that it was sent
// to, and a signature over these, the IP address that it was sent to, and the realm. Whoever brings
// it back has received what was sent there, so that address is not forged.
const (
	timeSize  = 6
	idSize    = 8
	portSize  = 2
	macSize   = 11 // bytes; nobody guesses 88 bits over a network
	nonceSize = timeSize + idSize + portSize + macSize

	// NonceLength is the length of a nonce in characters.
	NonceLength = nonceSize / 3 * 4
)

// Nonces makes nonces, and checks those that come back. A nonce takes no memory until it has been
// used, because it carries its own signature. The key is random for each process, because only the
// process remembers what was used: a nonce of an earlier process, or of another server, is not
// valid, and its client gets a new one. Nonces is safe for concurrent use.
type Nonces struct {
	key   [32]byte
	start time.Time
	pool  sync.Pool
	used  table
}

// NewNonces returns Nonces with a new key.
func NewNonces() *Nonces {
	n := &Nonces{start: time.Now()}
	rand.Read(n.key[:])
	n.used.init()
	return n
}

// Shared returns the Nonces of the process, so that a reload of the configuration forgets nothing.
var Shared = sync.OnceValue(NewNonces)

// signer is all that signing needs, in one allocation.
type signer struct {
	hash hash.Hash
	text [nonceSize]byte
	addr [16]byte
	sum  [sha256.Size]byte
}

func (n *Nonces) get() *signer {
	if s, ok := n.pool.Get().(*signer); ok {
		return s
	}
	return &signer{hash: hmac.New(sha256.New, n.key[:])}
}

// sign returns the signature of the nonce in s.text.
func (s *signer) sign(addr netip.Addr, realm []byte) []byte {
	s.hash.Reset()
	s.hash.Write(s.text[:nonceSize-macSize])
	s.addr = addr.As16()
	s.hash.Write(s.addr[:])
	s.hash.Write(realm)
	return s.hash.Sum(s.sum[:0])[:macSize]
}

// now returns the time since the start in milliseconds. It is never 0, and changes of the system
// clock do not affect it.
func (n *Nonces) now() uint64 { return uint64(time.Since(n.start).Milliseconds()) + 1 }

// Append appends a new nonce for a realm, which is about to be sent to an address.
func (n *Nonces) Append(dst, realm []byte, to netip.AddrPort) []byte {
	s := n.get()
	defer n.pool.Put(s)
	b := s.text[:]
	binary.BigEndian.PutUint64(b, n.now()<<16)
	binary.BigEndian.PutUint64(b[timeSize:], mathrand.Uint64())
	binary.BigEndian.PutUint16(b[timeSize+idSize:], to.Port())
	copy(b[nonceSize-macSize:], s.sign(to.Addr(), realm))
	return base64.RawURLEncoding.AppendEncode(dst, b)
}

// Nonce is a nonce of ours that has come back from the IP address that it was sent to.
type Nonce struct {
	Port uint16 // the port that it was sent to

	id, made uint64
}

// Read checks the nonce of credentials that came from an address. ok is false if we didn't send it
// there, for their realm.
func (n *Nonces) Read(c *Credentials, from netip.AddrPort) (nonce Nonce, ok bool) {
	if len(c.Nonce) != NonceLength {
		return Nonce{}, false
	}
	s := n.get()
	defer n.pool.Put(s)
	b := s.text[:]
	if size, err := base64.RawURLEncoding.Decode(b, c.Nonce); err != nil || size != nonceSize {
		return Nonce{}, false
	}
	if !hmac.Equal(s.sign(from.Addr(), c.Realm), b[nonceSize-macSize:]) {
		return Nonce{}, false
	}
	nonce.made = binary.BigEndian.Uint64(b) >> 16
	nonce.id = binary.BigEndian.Uint64(b[timeSize:])
	nonce.Port = binary.BigEndian.Uint16(b[timeSize+idSize:])
	return nonce, true
}

// Use is the outcome of Nonces.Use for credentials whose response is right.
type Use uint8

const (
	// Accepted: the nonce is good, and its count is new, or was used by the same request, which has
	// been retransmitted.
	Accepted Use = iota

	// Stale: the nonce is too old, or it is not known any more what it was used for. The client
	// gets a new one, and need not ask its user for the password again (RFC 7616 §3.3).
	Stale

	// Replayed: another request has used the nonce with this count. A client that counts badly gets
	// a new nonce as well.
	Replayed
)

// Use marks a nonce as used, with that count, by a request. request is a hash of the whole request
// and its source. Call it only after Verify has returned true, so that nobody without a password
// takes memory. lifetime is how long a nonce is good.
func (n *Nonces) Use(nonce Nonce, count uint32, request uint64, lifetime time.Duration) Use {
	now := n.now()
	good := uint64(lifetime.Milliseconds())
	if now >= nonce.made+good {
		return Stale
	}
	return n.used.use(nonce.id, nonce.made, count, request, now, good)
}
