package engine

import (
	"os"
	"runtime/debug"
	"sync"
)

// With a million registrations 300 MB of memory live as long as the process. By default Go lets
// garbage grow to the same size before it collects, for nothing: what saving registrations leaves
// behind is little, and can be collected when it has reached half of that.
const (
	manyBindings = 100_000
	gcPercent    = 50
)

// garbage changes the garbage collector's settings, which belong to the process, and restores what
// they were before.
type garbage struct {
	mu              sync.Mutex
	percentSet      bool
	previousPercent int // meaningful if percentSet

	memorySet      bool
	previousMemory int64 // meaningful if memorySet
}

// setBindings says how many bindings there are: from manyBindings on, gcPercent is in force. The
// GOGC environment variable, if set, takes precedence.
func (g *garbage) setBindings(bindings int) {
	many := bindings >= manyBindings
	g.mu.Lock()
	defer g.mu.Unlock()
	if many == g.percentSet || os.Getenv("GOGC") != "" {
		return
	}
	g.percentSet = many
	if !many {
		debug.SetGCPercent(g.previousPercent)
		return
	}
	g.previousPercent = debug.SetGCPercent(gcPercent)
	if g.previousPercent < gcPercent { // off (negative), or tighter already
		debug.SetGCPercent(g.previousPercent)
	}
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
