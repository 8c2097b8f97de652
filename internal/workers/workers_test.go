package workers

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// guard recovers from a panic of f.
func guard(f func()) {
	defer func() { _ = recover() }()
	f()
}

// TestPool has one user fill a pool. He gets his share and no more, and others run at once.
func TestPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(zap.NewNop(), guard)
		p := w.Pool("test")
		var mu sync.Mutex
		running, ran := 0, make(map[string]int)
		slow := func(who string) func() {
			return func() {
				mu.Lock()
				running++
				mu.Unlock()
				time.Sleep(time.Second)
				mu.Lock()
				defer mu.Unlock()
				running--
				ran[who]++
			}
		}
		locked := func(f func()) {
			mu.Lock()
			defer mu.Unlock()
			f()
		}
		n := 0
		for p.Run("greedy", slow("greedy")) {
			n++
			synctest.Wait()
		}
		locked(func() {
			if n != userWorkers+userQueued || running != userWorkers {
				t.Errorf("one user has %d in the pool, and %d running", n, running)
			}
		})
		if !p.Run("other", slow("other")) || !w.Pool("another").Run("greedy", slow("elsewhere")) {
			t.Error("others are refused")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		locked(func() {
			if ran["other"] != 1 || ran["elsewhere"] != 1 {
				t.Errorf("others have waited: %v", ran)
			}
		})
		time.Sleep(time.Hour)
		synctest.Wait()
		if ran["greedy"] != n || len(p.users) != 0 || p.running != 0 || p.queued.Taken() != 0 || len(p.turns) != 0 {
			t.Errorf("%d ran of %d; left: %d users, %d running, %d queued", ran["greedy"], n, len(p.users), p.running, p.queued.Taken())
		}
	})
}

// TestPoolTurns fills a pool altogether. Whoever waits then has a turn after each of the others has
// had one.
func TestPoolTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(zap.NewNop(), guard).Pool("test")
		var mu sync.Mutex
		var order []string
		add := func(who string, d time.Duration) {
			if !p.Run(who, func() {
				mu.Lock()
				order = append(order, who)
				mu.Unlock()
				time.Sleep(d)
			}) {
				t.Errorf("%s is refused", who)
			}
		}
		for i := range maxWorkers {
			add(fmt.Sprint(i%16), time.Duration(i+1)*time.Second)
		}
		synctest.Wait()
		mu.Lock()
		order = nil
		mu.Unlock()
		for range 3 {
			add("a", 1000*time.Second)
		}
		add("b", 1000*time.Second)
		add("c", 1000*time.Second)
		p.Run("d", func() { panic("one of them") })
		time.Sleep(10 * time.Second)
		synctest.Wait()
		mu.Lock()
		if got := fmt.Sprint(order); got != "[a b c a a]" {
			t.Errorf("the order is %s", got)
		}
		mu.Unlock()
		time.Sleep(time.Hour)
		synctest.Wait()
		if p.running != 0 || len(p.users) != 0 {
			t.Errorf("left: %d", p.running)
		}
	})
}

// TestRefuse counts what is refused, for each pool.
func TestRefuse(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(RefusedTotal)
	refused := func(pool string) float64 {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range families[0].GetMetric() {
			if m.GetLabel()[0].GetValue() == pool {
				return m.GetCounter().GetValue()
			}
		}
		t.Fatalf("nothing is counted for %s", pool)
		return 0
	}
	w := New(zap.NewNop(), guard)
	p := w.Pool("refusing")
	w.Pool("taking")
	before := refused("refusing")
	p.Refuse()
	p.Refuse()
	if n, other := refused("refusing")-before, refused("taking"); n != 2 || other != 0 {
		t.Errorf("%v are counted, and %v for another pool", n, other)
	}
}
