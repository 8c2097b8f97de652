//go:build !race

package simulation

import (
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// The race detector has goroutines run in another order each time, and so is the one case where a
// seed does not replay.

// TestReplay sees that a seed gives the same packets at the same instants each time.
func TestReplay(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	run := func() (packets []string) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 1)
			w.run(20 * time.Minute)
			packets = w.packets
			slices.Sort(packets)
		})
		return packets
	}
	a, b := run(), run()
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Fatalf("packet %d of %d is\n%s\nand the second time\n%s", i, len(a), a[i], b[i])
		}
	}
	if len(a) != len(b) || len(a) < 500 {
		t.Errorf("%d packets, and the second time %d", len(a), len(b))
	}
}
