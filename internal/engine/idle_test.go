package engine

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestIdleMemoryIsDue(t *testing.T) {
	const mb = 1 << 20
	var m idleMemory
	var allocated uint64
	for i, step := range []struct {
		held, allocated uint64 // in an interval, MB
		want            bool
	}{
		{100, 1000, false}, // a burst
		{100, 51, false},
		{100, 50, false}, // it is over
		{100, 0, true},
		{60, 0, false},
		{60, 5, false},
		{60, 5, true}, // the transactions have ended
		{60, 5, false},
		{60, 5, false},
		{60, 40, false}, // the next one
		{60, 20, false},
		{60, 40, false}, // it was not over
		{60, 20, false},
		{60, 20, true},
		{30, 30, false},
		{30, 0, false},
		{30, 0, false}, // a small heap is left alone
	} {
		allocated += step.allocated * mb
		if got := m.due(step.held*mb, allocated); got != step.want {
			t.Fatalf("look %d: %v", i, got)
		}
	}
}

// TestHeap: what is allocated is counted, and what the heap has from the system.
func TestHeap(t *testing.T) {
	held, before := heap()
	b := make([]byte, 64<<20)
	b[len(b)-1] = 1
	after, allocated := heap()
	if after < 64<<20 || after < held || allocated-before < uint64(len(b)) {
		t.Errorf("held %d, then %d; allocated %d, then %d, with %d", held, after, before, allocated, b[len(b)-1])
	}
}

func TestIdleMemoryGoesBack(t *testing.T) {
	b := make([]byte, 128<<20)
	b[len(b)-1] = 1
	before, _ := heap()
	synctest.Test(t, func(t *testing.T) {
		var m idleMemory
		m.start(func() {})
		defer m.loop.Close()
		time.Sleep((1 + idleFirst) * idleInterval) // the first look finds what the test has allocated
		synctest.Wait()
	})
	if after, _ := heap(); after > before-uint64(len(b))*9/10 {
		t.Errorf("the heap had %d bytes and has %d", before, after)
	}
}
