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
	const mb = 1 << 20
	room := int(garbageRoom() / mb)
	for _, before := range []int{100, 20, 600, -1} {
		old := debug.SetGCPercent(before)
		var g garbage
		for _, step := range []struct{ live, bindings, want int }{
			{room, manyBindings - 1, 100},
			{room / 2, 0, 200},
			{room * 100 / 210, 0, 200}, // nearly as before
			{room / 4, 0, 400},
			{1, 0, mostPercent},
			{room / 4, manyBindings, manyPercent},
			{10 * room, 10 * manyBindings, manyPercent},
			{10 * room, 0, 0}, // as it was
		} {
			want := max(before, step.want)
			if step.want == manyPercent || before < 0 {
				want = min(before, manyPercent)
			}
			if g.adapt(uint64(step.live*mb), step.bindings); gcPercent() != want {
				t.Errorf("with %d before, %d MB and %d bindings it is %d, want %d", before, step.live, step.bindings, gcPercent(), want)
			}
		}
		g.adapt(1, 0)
		if g.restore(); gcPercent() != before {
			t.Errorf("in the end it is %d, want %d", gcPercent(), before)
		}
		debug.SetGCPercent(old)
	}
	t.Setenv("GOGC", "100")
	var g garbage
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	g.adapt(1, manyBindings)
	if got := debug.SetGCPercent(100); got != 100 {
		t.Errorf("GOGC says 100, it is %d", got)
	}
}
