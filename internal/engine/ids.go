package engine

import (
	"math/rand/v2"

	"github.com/caddysip/caddysip/wire"
)

// NewBranch returns a branch for a request of our own.
func NewBranch() []byte { return AppendBranch(nil, rand.Uint64(), 0) }

// AppendBranch appends a branch of a number that is this request's own and the request's LoopHash.
func AppendBranch(dst []byte, unique, loop uint64) []byte {
	dst = append(dst, wire.MagicCookie...)
	return AppendHex(AppendHex(dst, unique), loop)
}

// NewTag returns a tag (RFC 3261 §19.3).
func NewTag() []byte { return AppendHex(nil, rand.Uint64()) }

// NewCallID returns a Call-ID.
func NewCallID() []byte { return AppendHex(AppendHex(nil, rand.Uint64()), rand.Uint64()) }
