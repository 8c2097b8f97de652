package routetoken

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestCallsDay has what is remembered of a call go after a day, when no token of it is good any
// more.
func TestCallsDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCalls()
		call, made := Call{ID: 1, Dialog: 3, Invite: true}, c.Now()
		c.End(call)
		for _, wait := range []time.Duration{0, 23 * time.Hour, time.Hour - time.Minute, 2 * time.Minute, 24 * time.Hour} {
			time.Sleep(wait)
			age := c.Now() - made
			if fresh := c.fresh(made); fresh != (age < 24*3600) {
				t.Errorf("a token of %d seconds is fresh: %t", age, fresh)
			}
			if over := c.over(call); over != (age < 24*3600+60) {
				t.Errorf("a call that ended %d seconds ago is over: %t", age, over)
			}
		}
		if c.fresh(c.Now()+24*3600) || c.fresh(0) || c.fresh(1<<32-1) {
			t.Error("a token of another time is fresh")
		}
		if !c.fresh(c.Now() + 3600) {
			t.Error("a token of a process whose clock was an hour ahead is not fresh")
		}
	})
}

// TestCallsKinds keeps apart what is remembered of one call, and of one dialog.
func TestCallsKinds(t *testing.T) {
	c := NewCalls()
	a, b, other := Call{1, 3, true}, Call{1, 5, true}, Call{2, 3, true}
	check := func(what string, over, referred [3]bool) {
		t.Helper()
		for i, call := range []Call{a, b, other} {
			if c.over(call) != over[i] || c.refers(call) != referred[i] {
				t.Errorf("%s: call %d is over: %t, and refers: %t", what, i, c.over(call), c.refers(call))
			}
		}
	}
	check("nothing", [3]bool{}, [3]bool{})
	c.BeginTransfer(a)
	c.Fork(a)
	check("forked", [3]bool{false, true}, [3]bool{true})
	c.Fork(b)
	check("the other one begun", [3]bool{}, [3]bool{true})
	c.End(a)
	check("one of two ended", [3]bool{true}, [3]bool{true})
	c.EndTransfer(a)
	check("the transfer told", [3]bool{true}, [3]bool{})
	c.Fail(2)
	check("another failed", [3]bool{true, false, true}, [3]bool{})
	c.End(b)
	check("all", [3]bool{true, true, true}, [3]bool{})
	subscription := Call{ID: 9, Dialog: 3}
	c.End(subscription)
	if !c.over(subscription) || c.over(Call{ID: 9, Dialog: 5}) {
		t.Error("the end of one subscription is not its own")
	}
}

// TestCallsFull forgets the oldest when there are too many, and never takes one for another.
func TestCallsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCalls()
		const room = 8 << callBits
		var wg sync.WaitGroup
		for part := range uint64(4) {
			wg.Go(func() {
				for i := range uint64(room / 4) {
					c.Fail(part*room/4 + i + 1)
				}
			})
		}
		wg.Wait()
		kept := func(from, n uint64) (kept int) {
			for id := from; id < from+n; id++ {
				if c.over(Call{ID: id, Dialog: 1}) {
					kept++
				}
			}
			return kept
		}
		if n := kept(1, room); n < room*8/10 {
			t.Errorf("%d of %d are known", n, room)
		}
		time.Sleep(time.Minute)
		const more = room / 4
		for id := range uint64(more) {
			c.Fail(1<<40 + id)
		}
		if n := kept(1<<40, more); n < more*99/100 {
			t.Errorf("of %d new ones %d are known", more, n)
		}
		if n := kept(1<<50, room); n > 2 {
			t.Errorf("%d that never were are known", n)
		}
	})
}

func BenchmarkCalls(b *testing.B) {
	c := NewCalls()
	b.ReportAllocs()
	id := uint64(0)
	for b.Loop() {
		id++
		call := Call{ID: id, Dialog: 1, Invite: true}
		c.End(call)
		if !c.over(call) {
			b.Fatal("not known")
		}
	}
}
