package seen

import (
	"sync/atomic"
	"time"
)

const (
	// ways is the number of slots that a hash may be in: one cache line.
	ways = 8

	tagBits = 40
	tagMask = 1<<tagBits - 1
)

// Table remembers hashes, each with the minute in which it was last added. When there is no room, a
// new hash replaces one of the oldest. It is safe for concurrent use: a slot is one word, the minute
// above a part of the hash, so that of a billion hashes that were never added about seven are taken
// for one that was.
type Table struct {
	start time.Time
	slots []atomic.Uint64 // in sets of ways
}

// New returns a table with room for 8 << bits hashes, which takes 64 << bits bytes. bits is 24 at
// most.
func New(bits int) *Table {
	return &Table{start: time.Now(), slots: make([]atomic.Uint64, ways<<bits)}
}

// Room returns how many hashes there is room for.
func (t *Table) Room() int { return len(t.slots) }

// minute returns the time now, in minutes, counted from 1; 0 marks a free slot.
func (t *Table) minute() uint64 { return uint64(time.Since(t.start)/time.Minute) + 1 }

// set returns the slots that a hash may be in, and the tag that distinguishes it from the others
// there.
func (t *Table) set(hash uint64) ([]atomic.Uint64, uint64) {
	first := hash >> tagBits * ways & uint64(len(t.slots)-1)
	return t.slots[first : first+ways], hash & tagMask
}

// find returns the slot that a hash is in, and its content, or nil.
func (t *Table) find(hash uint64) (*atomic.Uint64, uint64) {
	set, tag := t.set(hash)
	for i := range set {
		if v := set[i].Load(); v != 0 && v&tagMask == tag {
			return &set[i], v
		}
	}
	return nil, 0
}

// Add remembers a hash from now on.
func (t *Table) Add(hash uint64) {
	set, tag := t.set(hash)
	for {
		now := t.minute()<<tagBits | tag
		slot, before := t.find(hash)
		if slot == nil {
			slot, before = oldest(set)
		}
		// Writing once a minute spares the other cores.
		if before == now || slot.CompareAndSwap(before, now) {
			return
		}
	}
}

// oldest returns the slot of a set that was written first, or a free one, and its content.
func oldest(set []atomic.Uint64) (slot *atomic.Uint64, content uint64) {
	slot, content = &set[0], set[0].Load()
	for i := range set {
		if v := set[i].Load(); v>>tagBits < content>>tagBits {
			slot, content = &set[i], v
		}
	}
	return slot, content
}

// Has reports whether a hash was added within so many full minutes, and the part of one that has
// begun.
func (t *Table) Has(hash uint64, within time.Duration) bool {
	slot, v := t.find(hash)
	return slot != nil && t.minute()-v>>tagBits <= uint64(within/time.Minute)
}

// Remove forgets a hash.
func (t *Table) Remove(hash uint64) {
	set, tag := t.set(hash)
	for i := range set { // two that added it at once may have taken a slot each
		if v := set[i].Load(); v != 0 && v&tagMask == tag {
			set[i].CompareAndSwap(v, 0)
		}
	}
}
