package engine

import (
	"hash/maphash"
	"sync/atomic"
	"time"

	"github.com/caddysip/caddysip/internal/sip/transport"
)

// The source of a datagram can be forged, so whoever sends one may be asking us to flood somebody else. A source is proven once it has shown that
// it receives what we send there; until then, what one of its datagrams brings about is bounded.

const (
	// validatedTime is how long a source stays proven after it has shown it again.
	validatedTime = time.Hour
	// validatedWays is how many sources share a set: one that is new takes the place of the oldest of its set.
	validatedWays = 4
	// validatedSets is the number of sets: 65,536 sources in 512 KiB. A source that lost its place is only treated with caution again.
	validatedSets = 1 << 14

	validatedTagBits = 40
	validatedTagMask = 1<<validatedTagBits - 1
)

// proven remembers sources in a table whose size is fixed. It has no lock: a slot is one word, the time in minutes above a part of the hash of
// the source. Two that write one slot at once lose one of the two, which shows itself again.
type validatedTable struct {
	start time.Time
	sets  [validatedSets][validatedWays]atomic.Uint64
}

// minute is the time now, in minutes from 1 on; 0 says that a slot is free.
func (t *validatedTable) minute() uint64 { return uint64(time.Since(t.start)/time.Minute) + 1 }

// place returns the set that a source belongs in, and what tells it from the others there. The hash is seeded, so nobody can choose
// sources that share a set.
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
			if v>>validatedTagBits != now { // at most one write a minute, for the sake of the other cores
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

// Prove remembers, for an hour, that what is sent to the flow's remote address is received there by whoever sends from it: it has answered a
// request of ours, or has used a nonce that we sent it. Nothing is to be remembered for a stream.
func (e *Engine) MarkValidated(f transport.Flow) {
	if !f.Network.Reliable() {
		e.validated.add(f)
	}
}

// Proven tells whether the flow's remote address is known to receive what is sent there: on a stream always, since the handshake has shown it;
// on UDP within the hour after Prove. It may tell no of one that is proven, never yes of one that is not.
func (e *Engine) Validated(f transport.Flow) bool {
	return f.Network.Reliable() || e.validated.has(f)
}
