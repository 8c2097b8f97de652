package allowance

import (
	"sync/atomic"
	"unsafe"
)

// Work returns how many basic blocks have run since the process started, in all packages that were
// built with coverage counters: a measure of CPU time that is the same on every machine. Subtract
// two of them; they wrap around. ok is false in a binary without counters.
//
// What it doesn't see is the standard library, unless that was named in -coverpkg, and in any case
// what is written in assembly: comparing and searching bytes, hashes.
func Work() (n uint32, ok bool) {
	for _, b := range counterList() {
		counters := unsafe.Slice((*atomic.Uint32)(unsafe.Pointer(b.counters)), int(b.n))
		n += sum(counters)
		ok = true
	}
	return n, ok
}

// sum adds up counters. They lie function by function: how many there are, two words that say whose
// they are, and the counters themselves; all zero for a function that never ran (internal/coverage
// in Go's sources).
func sum(words []atomic.Uint32) (n uint32) {
	const header = 3
	for i := 0; i < len(words); {
		blocks := int(words[i].Load())
		if blocks == 0 {
			i++
			continue
		}
		i += header
		for end := min(i+blocks, len(words)); i < end; i++ {
			n += words[i].Load()
		}
	}
	return n
}

// blob is a rtcov.CovCounterBlob.
type blob struct {
	counters *uint32
	n        uint64
}

// counterList is the runtime's own. runtime/coverage writes the counters out, but not in a test
// binary, which only knows how they are counted when it ends.
//
//go:linkname counterList internal/coverage/cfile.getCovCounterList
func counterList() []blob
