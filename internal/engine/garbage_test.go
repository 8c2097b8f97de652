package engine

import (
	"os"
	"runtime/debug"
	"testing"
)

func TestGarbage(t *testing.T) {
	t.Setenv("GOGC", "")
	if err := os.Unsetenv("GOGC"); err != nil {
		t.Fatal(err)
	}
	for _, before := range []int{100, 20, 400} {
		old := debug.SetGCPercent(before)
		percent := func() int {
			p := debug.SetGCPercent(before)
			debug.SetGCPercent(p)
			return p
		}
		var g garbage
		for _, step := range []struct{ bindings, want int }{
			{manyBindings - 1, before}, {manyBindings, min(before, gcPercent)}, {10 * manyBindings, min(before, gcPercent)}, {0, before}, {0, before},
		} {
			g.setBindings(step.bindings)
			if got := percent(); got != step.want {
				t.Errorf("with %d before and %d bindings it is %d, want %d", before, step.bindings, got, step.want)
			}
		}
		debug.SetGCPercent(old)
	}
	t.Setenv("GOGC", "100")
	var g garbage
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	g.setBindings(manyBindings)
	if got := debug.SetGCPercent(100); got != 100 {
		t.Errorf("GOGC says 100, it is %d", got)
	}
}
