package engine

import (
	"os"
	"runtime/debug"
	"sync"
)

// With a million registrations 300 MB of memory live as long as the process. Go lets garbage grow to the same size before it collects it, for nothing: the
// little that writing registrations down leaves behind can be collected when it is half of that.
const (
	manyBindings = 100_000
	gcPercent    = 50
)

// garbage holds what is set for the process.
type garbage struct {
	mu     sync.Mutex
	set    bool
	before int

	memorySet    bool
	memoryBefore int64
}

// limit sets how much garbage there may be, unless the GOGC environment variable does.
func (g *garbage) limit(bindings int) {
	many := bindings >= manyBindings
	g.mu.Lock()
	defer g.mu.Unlock()
	if many == g.set || os.Getenv("GOGC") != "" {
		return
	}
	g.set = many
	if !many {
		debug.SetGCPercent(g.before)
		return
	}
	g.before = debug.SetGCPercent(gcPercent)
	if g.before < gcPercent { // off, or tighter already
		debug.SetGCPercent(g.before)
	}
}

// limitMemory sets how many bytes the Go runtime may take before it collects garbage as often as it can, unless the GOMEMLIMIT environment variable does. 0 is
// what it was before.
func (g *garbage) limitMemory(limit int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case os.Getenv("GOMEMLIMIT") != "":
	case limit > 0:
		if before := debug.SetMemoryLimit(limit); !g.memorySet {
			g.memorySet, g.memoryBefore = true, before
		}
	case g.memorySet:
		g.memorySet = false
		debug.SetMemoryLimit(g.memoryBefore)
	}
}
