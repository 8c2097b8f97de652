package engine

import (
	"hash/maphash"
	"time"

	"github.com/caddysip/caddysip/internal/sip/transport"
)

// The source of a datagram can be forged, so whoever sends one may be asking us to flood somebody
// else. A source is validated once it has shown that it receives what we send to it; until then,
// what one of its datagrams can cause is bounded.

const (
	// validatedTime is how long a source stays validated after it was last shown.
	validatedTime = time.Hour
	// validatedBits makes room for 65,536 sources, in 512 KiB. A source that lost its place is only
	// treated with caution again.
	validatedBits = 13
)

// hashOf returns the hash of who sends to a flow. It is seeded.
func hashOf(f transport.Flow) uint64 { return maphash.Comparable(seed, f.Remote) }

// MarkValidated records, for an hour, that whoever sends from the flow's remote address also
// receives what is sent there: it has answered a request of ours, or used a nonce that we sent to
// it. For a stream there is nothing to record.
func (e *Engine) MarkValidated(f transport.Flow) {
	if !f.Network.Reliable() {
		e.validated.Add(hashOf(f))
	}
}

// Validated reports whether the flow's remote address is known to receive what is sent there: on a
// stream always, since the handshake has shown it; on UDP within the hour after MarkValidated. It
// may return false for an address that is validated, never true for one that is not.
func (e *Engine) Validated(f transport.Flow) bool {
	return f.Network.Reliable() || e.validated.Has(hashOf(f), validatedTime-time.Minute)
}
