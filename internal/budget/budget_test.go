package budget

import (
	"sync"
	"testing"
)

func TestTake(t *testing.T) {
	b := new(Budget)
	if !b.Take(Bindings, 1<<30) {
		t.Error("a budget without a ceiling refuses")
	}
	b.Release(Bindings, 1<<30)
	b.SetCeiling(6400)
	if b.Take(Transactions, 3201) {
		t.Error("transactions take more than half")
	}
	for k, want := range map[Kind]int{Transactions: 3200, Queues: 1600, Bindings: 1600} {
		if !b.Take(k, want) {
			t.Errorf("%s: no room for %d: %s", k, want, b)
		}
	}
	if b.Take(Bindings, 1) {
		t.Errorf("more than the ceiling: %s", b)
	}
	if n := b.Refused(Bindings); n != 1 {
		t.Errorf("%d refusals of bindings are counted, want 1", n)
	}
	b.Force(Bindings, 100)
	if got := b.Total(); got != 6500 {
		t.Errorf("after Force there are %d, want 6500", got)
	}
	b.Release(Transactions, 3200)
	if !b.Take(Bindings, 1) {
		t.Errorf("no room though some was given back: %s", b)
	}
	var none *Budget
	none.Force(Bindings, 1)
	if !none.Take(Bindings, 1) || none.Ceiling() != 0 {
		t.Error("a nil budget refuses")
	}
}

func TestConcurrent(t *testing.T) {
	b := new(Budget)
	b.SetCeiling(10000)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				if b.Take(Bindings, 900) {
					b.Release(Bindings, 900)
				}
			}
		})
	}
	wg.Wait()
	if b.Total() != 0 || b.Used(Bindings) != 0 {
		t.Errorf("left: %s", b)
	}
}

func BenchmarkTake(b *testing.B) {
	budget := new(Budget)
	budget.SetCeiling(1 << 40)
	for b.Loop() {
		budget.Take(Transactions, 700)
		budget.Release(Transactions, 700)
	}
}
