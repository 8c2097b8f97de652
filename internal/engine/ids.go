package engine

import (
	"math/rand/v2"

	"github.com/caddysip/caddysip/wire"
)

// NewBranch returns a Via branch for a request of our own (RFC 3261 §8.1.1.7).
func NewBranch() []byte { return AppendBranch(nil, rand.Uint64(), 0) }

// AppendBranch appends a Via branch made of a number unique to this request and of its LoopHash.
func AppendBranch(dst []byte, unique, loop uint64) []byte {
	dst = append(dst, wire.MagicCookie...)
	return AppendHex(AppendHex(dst, unique), loop)
}

// NewTag returns a random tag for From or To (RFC 3261 §19.3).
func NewTag() []byte { return AppendHex(nil, rand.Uint64()) }

// NewCallID returns a random Call-ID (RFC 3261 §8.1.1.4).
func NewCallID() []byte { return AppendHex(AppendHex(nil, rand.Uint64()), rand.Uint64()) }
