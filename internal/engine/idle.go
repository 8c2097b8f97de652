package engine

import (
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/caddysip/caddysip/internal/clock"
)

// After a burst of traffic the heap is larger than anybody needs. Go by itself collects garbage
// when as much again has been allocated, or after two minutes, and then gives the memory back to
// the system little by little. So the engine does it when the process has become quiet: first for
// what the burst has left behind, and once more when its transactions have ended, which RFC 3261
// keeps for 32 seconds.
const (
	idleInterval = 10 * time.Second
	idleFirst    = 2 // intervals after the burst
	idleSecond   = 5
	idleHeap     = 32 << 20 // bytes; a smaller heap is left alone
)

// idleMemory gives memory back to the system after a burst. Use start, and close loop.
type idleMemory struct {
	allocated uint64 // bytes ever, at the last look
	quiet     int    // looks since the last one that found the process busy

	loop *clock.Loop
}

// start calls look every idleInterval, too.
func (m *idleMemory) start(look func()) {
	m.loop = clock.Every(idleInterval, func() {
		if m.due(heap()) {
			debug.FreeOSMemory()
		}
		look()
	})
}

// due reports, every idleInterval, whether memory is to be given back. held is how many bytes the
// heap has from the system, allocated how many were ever allocated. As long as half of the heap is
// allocated again in an interval, the collector has enough to do by itself.
func (m *idleMemory) due(held, allocated uint64) bool {
	busy := allocated-m.allocated > held/2
	m.allocated = allocated
	if busy {
		m.quiet = 0
		return false
	}
	m.quiet++
	return held > idleHeap && (m.quiet == idleFirst || m.quiet == idleSecond)
}

// heap returns how many bytes the heap has from the system, and how many were ever allocated in it.
func heap() (held, allocated uint64) {
	samples := [...]metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/gc/heap/allocs:bytes"},
	}
	metrics.Read(samples[:])
	for _, s := range samples[:3] {
		held += s.Value.Uint64()
	}
	return held, samples[3].Value.Uint64()
}
