package engine

import (
	"hash/maphash"
	"sync/atomic"
	"time"

	"github.com/caddysip/caddysip/internal/sip/transport"
)

// The source of a datagram can be forged, so whoever sends one may be asking us to flood somebody
// else. A source is validated once it has shown that it receives what we send to it; until then,
// what one of its datagrams can cause is bounded.

const (
	// validatedTime is how long a source stays validated after it was last shown.
	validatedTime = time.Hour
	// validatedWays is how many sources share a set: a new one replaces the oldest of its set.
	validatedWays = 4
	// validatedSets is the number of sets: 65,536 sources in 512 KiB. A source that lost its slot
	// is only treated with caution again.
	validatedSets = 1 << 14

	validatedTagBits = 40
	validatedTagMask = 1<<validatedTagBits - 1
)

// validatedTable remembers sources in a table of fixed size. It has no lock: a slot is one word,
// the time in minutes above a part of the hash of the source. Of two writers that take one slot at
// once one is lost; its source will be validated again.
type validatedTable struct {
	start time.Time
	sets  [validatedSets][validatedWays]atomic.Uint64
}

// minute returns the time now, in minutes, counted from 1; 0 marks a free slot.
func (t *validatedTable) minute() uint64 { return uint64(time.Since(t.start)/time.Minute) + 1 }

// slots returns the set that a source belongs to, and the tag that distinguishes it from the others
// there. The hash is seeded, so nobody can choose sources that share a set.
func (t *validatedTable) slots(f transport.Flow) (*[validatedWays]atomic.Uint64, uint64) {
	hash := maphash.Comparable(seed, f.Remote)
	return &t.sets[hash>>validatedTagBits%validatedSets], hash & validatedTagMask
}

func (t *validatedTable) add(f transport.Flow) {
	set, tag := t.slots(f)
	now := t.minute()
	oldest := &set[0]
	for i := range set {
		slot := &set[i]
		v := slot.Load()
		if v != 0 && v&validatedTagMask == tag {
			if v>>validatedTagBits != now { // writing once a minute spares the other cores
				slot.Store(now<<validatedTagBits | tag)
			}
			return
		}
		if v>>validatedTagBits < oldest.Load()>>validatedTagBits {
			oldest = slot
		}
	}
	oldest.Store(now<<validatedTagBits | tag)
}

func (t *validatedTable) has(f transport.Flow) bool {
	set, tag := t.slots(f)
	for i := range set {
		if v := set[i].Load(); v != 0 && v&validatedTagMask == tag {
			return t.minute()-v>>validatedTagBits < uint64(validatedTime/time.Minute)
		}
	}
	return false
}

// MarkValidated records, for an hour, that whoever sends from the flow's remote address also
// receives what is sent there: it has answered a request of ours, or used a nonce that we sent to
// it. For a stream there is nothing to record.
func (e *Engine) MarkValidated(f transport.Flow) {
	if !f.Network.Reliable() {
		e.validated.add(f)
	}
}

// Validated reports whether the flow's remote address is known to receive what is sent there: on a
// stream always, since the handshake has shown it; on UDP within the hour after MarkValidated. It
// may return false for an address that is validated, never true for one that is not.
func (e *Engine) Validated(f transport.Flow) bool {
	return f.Network.Reliable() || e.validated.has(f)
}
