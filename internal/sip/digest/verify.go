package digest

import (
	"crypto/subtle"
	"encoding/hex"
	"sync"
)

// scratch is the memory that a check needs.
type scratch struct {
	text []byte // what is hashed
	sum  [maxSize]byte
	ha2  [2 * maxSize]byte
}

var scratches = sync.Pool{New: func() any { return &scratch{text: make([]byte, 0, 512)} }}

// Verify reports whether the response in the credentials is right for a request with that method
// (RFC 7616 §3.4.1): whether its sender knows the password that ha1, in hexadecimal, was made of.
// It takes the same time whatever ha1 is. With an unknown algorithm no response is right.
func (c *Credentials) Verify(ha1 string, method []byte) bool {
	if c.Algorithm == Other {
		return false
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	b := append(append(append(s.text[:0], method...), ':'), c.URI...)
	ha2 := hex.AppendEncode(s.ha2[:0], c.Algorithm.sum(&s.sum, b))
	b = append(append(b[:0], ha1...), ':')
	b = append(append(b, c.Nonce...), ':')
	if c.qop != nil {
		b = append(append(b, c.nc...), ':')
		b = append(append(b, c.cnonce...), ':')
		b = append(append(b, c.qop...), ':')
	}
	b = append(b, ha2...)
	s.text = b[:0]
	want := c.Algorithm.sum(&s.sum, b)
	return subtle.ConstantTimeCompare(want, c.response[:len(want)]) == 1
}
