package engine

import (
	"encoding/binary"
	"hash/maphash"
	"time"

	"github.com/caddysip/caddysip/internal/location"
)

const (
	// silentTime is how long a phone counts as silent. It is as long as most registrations: a
	// refresh is a sign of life, and makes another binding.
	silentTime = time.Hour
	// silentBits makes room for 8,192 phones, in 64 KiB. For one that has lost its entry a call
	// waits once more.
	silentBits = 10
)

// MarkSilent records that a phone has said nothing to a request, not even 100.
func (e *Engine) MarkSilent(b *location.Binding) { e.silent.Add(bindingHash(b)) }

// MarkHeard records that a phone has answered a request.
func (e *Engine) MarkHeard(b *location.Binding) { e.silent.Remove(bindingHash(b)) }

// IsSilent reports whether a phone has left a request without any response, and has not been heard
// since: it has neither answered another request nor refreshed the binding.
func (e *Engine) IsSilent(b *location.Binding) bool {
	return e.silent.Has(bindingHash(b), silentTime)
}

// bindingHash returns the hash of a binding as it is until its next refresh. It is seeded.
func bindingHash(b *location.Binding) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	h.WriteString(b.AOR())
	h.WriteByte(0)
	h.WriteString(b.Contact())
	h.WriteByte(0)
	h.WriteString(b.CallID())
	var cseq [4]byte
	binary.BigEndian.PutUint32(cseq[:], b.CSeq())
	h.Write(cseq[:])
	return h.Sum64()
}
