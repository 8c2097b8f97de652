package seen

import (
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestTime has a hash forgotten in the minute that is the second after the time asked for.
func TestTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const within = 10 * time.Minute
		table := New(4)
		time.Sleep(59 * time.Second) // the minute is nearly over
		table.Add(1)
		for _, step := range []struct {
			after time.Duration
			has   bool
		}{
			{0, true}, {within, true}, {time.Second - 1, true}, {1, false}, {24 * time.Hour, false},
		} {
			time.Sleep(step.after)
			if got := table.Has(1, within); got != step.has {
				t.Errorf("%v later it has the hash: %v", step.after, got)
			}
		}
		table.Add(1)
		if !table.Has(1, 0) {
			t.Error("a hash that is added again is not there")
		}
	})
}

func TestRemove(t *testing.T) {
	table := New(0)
	table.Add(1)
	table.Add(2)
	table.Remove(1)
	table.Remove(3)
	if table.Has(1, 0) || !table.Has(2, 0) || table.Has(3, 0) {
		t.Error("not the hash alone is removed")
	}
}

// TestFull adds more than there is room for, from several goroutines: the latest are there, about
// as many as there is room for, and none that was never added.
func TestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := New(10)
		room := table.Room()
		r := rand.New(rand.NewPCG(1, 2))
		hashes := make([]uint64, 3*room)
		for i := range hashes {
			hashes[i] = r.Uint64()
		}
		early, late := hashes[:2*room], hashes[2*room:][:room/4]
		add := func(list []uint64) {
			var wg sync.WaitGroup
			for part := range 4 {
				wg.Go(func() {
					for i := part; i < len(list); i += 4 {
						table.Add(list[i])
					}
				})
			}
			wg.Wait()
		}
		has := func(list []uint64) (n int) {
			for _, hash := range list {
				if table.Has(hash, time.Hour) {
					n++
				}
			}
			return n
		}
		add(early)
		if n := has(early); n > room || n < room*9/10 {
			t.Errorf("%d are there, there is room for %d", n, room)
		}
		time.Sleep(time.Minute)
		add(late)
		if n := has(late); n < len(late)*99/100 {
			t.Errorf("of the %d latest %d are there", len(late), n)
		}
		if n := has(hashes[2*room+len(late):]); n > 0 {
			t.Errorf("%d are there that were never added", n)
		}
	})
}

func TestAllocations(t *testing.T) {
	table := New(4)
	allocations := testing.AllocsPerRun(100, func() { table.Add(1); table.Has(1, 0); table.Remove(1) })
	if allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
}
