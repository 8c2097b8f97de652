package engine

import (
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// Go lets garbage grow to the size of what lives before it collects. That is too often while little
// lives: going through it costs the same whether there is much garbage or not. And with a million
// registrations 300 MB live as long as the process, beside which little is left behind: it can be
// collected when it has reached half of that.
const (
	mostRoom    = 64 << 20 // bytes that garbage may take in any case,
	roomShare   = 16       // but not more than this part of the machine's memory
	mostPercent = 400

	manyBindings = 100_000
	manyPercent  = 50
)

// garbage changes the garbage collector's settings, which belong to the process, and restores what
// they were before.
type garbage struct {
	mu              sync.Mutex
	percent         int // in force; 0: the previous one
	previousPercent int // meaningful unless percent is 0

	memorySet      bool
	previousMemory int64 // meaningful if memorySet
}

// adapt sets by how much the heap may grow between two collections, in per cent of the live bytes
// that the last one has found. The GOGC environment variable, if set, takes precedence.
func (g *garbage) adapt(live uint64, bindings int) {
	if os.Getenv("GOGC") != "" {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.percent == 0 {
		g.previousPercent = gcPercent()
		g.percent = g.previousPercent
	}
	percent := percentFor(g.previousPercent, live, bindings)
	// Setting it stops the process for a moment.
	if d := percent - g.percent; d == 0 || -20 < d && d < 20 && percent > 100 {
		return
	}
	debug.SetGCPercent(percent)
	g.percent = percent
}

// percentFor returns the percentage for so many live bytes and bindings, where before was set.
func percentFor(before int, live uint64, bindings int) int {
	switch {
	case before < 0: // off
		return before
	case bindings >= manyBindings:
		return min(before, manyPercent)
	}
	return max(before, int(min(garbageRoom()*100/max(live, 1), mostPercent)))
}

// garbageRoom returns how many bytes garbage may always take.
var garbageRoom = sync.OnceValue(func() uint64 {
	return uint64(min(mostRoom, machineMemory()/roomShare))
})

// gcPercent returns the percentage in force, negative when collection is off.
func gcPercent() int {
	s := [...]metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(s[:])
	if p := s[0].Value.Uint64(); p <= math.MaxInt32 {
		return int(p)
	}
	return -1
}

// liveHeap returns how many live bytes the last collection has found.
func liveHeap() uint64 {
	s := [...]metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s[:])
	return s[0].Value.Uint64()
}

// restore sets what was before adapt.
func (g *garbage) restore() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.percent != 0 && g.percent != g.previousPercent {
		debug.SetGCPercent(g.previousPercent)
	}
	g.percent = 0
}

// limitMemory sets how many bytes the Go runtime may take before it collects garbage as often as it
// can; 0 restores what it was before. The GOMEMLIMIT environment variable, if set, takes
// precedence.
func (g *garbage) limitMemory(limit int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case os.Getenv("GOMEMLIMIT") != "":
	case limit > 0:
		if before := debug.SetMemoryLimit(limit); !g.memorySet {
			g.memorySet, g.previousMemory = true, before
		}
	case g.memorySet:
		g.memorySet = false
		debug.SetMemoryLimit(g.previousMemory)
	}
}
