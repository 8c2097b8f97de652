package digest

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	mathrand "math/rand/v2"
	"sync"
	"time"
)

// A nonce is when it was made, in milliseconds, a random number, and a signature over both and the realm.
const (
	timeSize  = 6
	idSize    = 8
	macSize   = 10 // bytes; nobody guesses 80 bits over a network
	nonceSize = timeSize + idSize + macSize

	// NonceLength is the length of a nonce as it is written.
	NonceLength = nonceSize / 3 * 4
)

// Nonces makes nonces and takes them back. Making one costs no memory: it carries its signature. The key is the process's own, because what was used
// is remembered by the process alone: a nonce of an earlier process, or of another server, counts as stale, and clients get a new one.
type Nonces struct {
	key   [32]byte
	start time.Time
	pool  sync.Pool
	used  table
}

// NewNonces returns Nonces with a key of their own.
func NewNonces() *Nonces {
	n := &Nonces{start: time.Now()}
	rand.Read(n.key[:])
	n.used.init()
	return n
}

// Shared returns the process's own Nonces, so that a reload of the configuration forgets nothing.
var Shared = sync.OnceValue(NewNonces)

// signer is what signing needs, in one piece.
type signer struct {
	hash hash.Hash
	text [nonceSize]byte
	sum  [sha256.Size]byte
}

func (n *Nonces) get() *signer {
	if s, ok := n.pool.Get().(*signer); ok {
		return s
	}
	return &signer{hash: hmac.New(sha256.New, n.key[:])}
}

// sign returns the signature of the nonce in s.text.
func (s *signer) sign(realm []byte) []byte {
	s.hash.Reset()
	s.hash.Write(s.text[:timeSize+idSize])
	s.hash.Write(realm)
	return s.hash.Sum(s.sum[:0])[:macSize]
}

// now returns the time since the start, in milliseconds. It is never 0, and no change of the machine's clock moves it.
func (n *Nonces) now() uint64 { return uint64(time.Since(n.start).Milliseconds()) + 1 }

// Append appends a new nonce for a realm.
func (n *Nonces) Append(dst, realm []byte) []byte {
	s := n.get()
	defer n.pool.Put(s)
	b := s.text[:]
	binary.BigEndian.PutUint64(b, n.now()<<16)
	binary.BigEndian.PutUint64(b[timeSize:], mathrand.Uint64())
	copy(b[timeSize+idSize:], s.sign(realm))
	return base64.RawURLEncoding.AppendEncode(dst, b)
}

// read returns what a nonce says, and whether it is one of ours for the realm.
func (n *Nonces) read(text, realm []byte) (id, made uint64, ok bool) {
	if len(text) != NonceLength {
		return 0, 0, false
	}
	s := n.get()
	defer n.pool.Put(s)
	b := s.text[:]
	if size, err := base64.RawURLEncoding.Decode(b, text); err != nil || size != nonceSize {
		return 0, 0, false
	}
	if !hmac.Equal(s.sign(realm), b[timeSize+idSize:]) {
		return 0, 0, false
	}
	return binary.BigEndian.Uint64(b[timeSize:]), binary.BigEndian.Uint64(b) >> 16, true
}

// Use is what becomes of credentials whose response is right.
type Use uint8

const (
	// Accepted: the nonce is good, and its count is new, or used by the same request, which came once more.
	Accepted Use = iota

	// Stale: the nonce is none of ours, too old, or nobody can tell any more what it was used for. The client is to take a new one, for which it need
	// not ask its user (RFC 7616 §3.3).
	Stale

	// Replayed: another request had the nonce with this count. A client that counts badly takes a new nonce as well.
	Replayed
)

// Use marks the nonce of credentials as used with their count by a request, which is given by a hash of all of it. It must be called only when the
// response was found right, so that nobody without a password takes memory. lifetime is how long a nonce is good.
func (n *Nonces) Use(c *Credentials, lifetime time.Duration, request uint64) Use {
	id, made, ok := n.read(c.Nonce, c.Realm)
	now := n.now()
	if !ok || now > made+uint64(lifetime.Milliseconds()) {
		return Stale
	}
	return n.used.use(id, made, c.NC, request, now)
}
