package simulation

import (
	"flag"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	_ "github.com/caddysip/caddysip"
	"github.com/caddysip/caddysip/internal/budget"
)

var (
	seed   = flag.Uint64("sim.seed", 0, "run just this seed")
	seeds  = flag.Int("sim.seeds", 12, "how many seeds to run")
	first  = flag.Uint64("sim.first", 1, "the first of them")
	days   = flag.Float64("sim.days", 0.05, "how many simulated days each seed runs")
	traced = flag.Bool("sim.trace", false, "log every packet")
)

// TestSimulation runs seeds. One that fails says so as -sim.seed=N, with which it fails again.
func TestSimulation(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // one thing after the other, in the same order each time
	list := []uint64{*seed}
	if *seed == 0 {
		list = nil
		for i := range *seeds {
			list = append(list, *first+uint64(i))
		}
	}
	var total time.Duration
	for _, seed := range list {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, seed)
				w.run(time.Duration(*days * 24 * float64(time.Hour)))
				total += time.Since(w.start)
			})
		})
	}
	t.Logf("%.2f simulated days", total.Hours()/24)
}

// run lets everybody live for some time, and sees that all is well at the end.
func (w *world) run(d time.Duration) {
	w.mu.Lock()
	for _, p := range w.phones {
		w.after(p.upTo(10*time.Second), func() { p.boot(); p.lives() })
	}
	w.mu.Unlock()
	for end := w.start.Add(d); time.Now().Before(end) && w.failed == 0; {
		w.rest(time.Minute)
		w.mu.Lock()
		for range w.luck.IntN(6) {
			label := fmt.Sprintf("label %d", w.luck.IntN(1000))
			if w.luck.IntN(4) == 0 {
				label = ""
			}
			w.setKey(w.phones[w.luck.IntN(phones)].user, 2+w.luck.IntN(3), label)
		}
		w.mu.Unlock()
		if w.luck.IntN(3) > 0 {
			w.trouble()
		}
		w.check(false)
	}
	w.tasks.Wait()
	if w.failed == 0 {
		w.settle()
	}
	w.end()
}

// settle lets everything calm down: every phone is registered and shows what it is to show, and
// nothing is left of the rest.
func (w *world) settle() {
	w.mu.Lock()
	w.settling = true
	w.mu.Unlock()
	time.Sleep(10 * time.Minute)
	w.mu.Lock()
	for _, p := range w.phones {
		p.boot()
	}
	w.mu.Unlock()
	time.Sleep(time.Minute)
	w.check(false)
	w.mu.Lock()
	for _, p := range w.phones {
		for key := 1; key <= 4; key++ {
			want := "Emergency"
			if k := w.oracle.keys[fmt.Sprintf("%s/%d", p.user, key)]; key > 1 {
				want = ""
				if k != nil {
					want = w.keyLabel(k.name(), "admin")
				}
				if light := w.keyLabel(fmt.Sprintf("%s/%d", p.user, key), "event"); light != "" {
					want = light // it was dialled
				}
			}
			if got := p.shows[fmt.Sprint(key)]; got.Label != want {
				w.fail("key %d of %s shows %q, want %q", key, p.user, got.Label, want)
			}
		}
	}
	// The last ones leave.
	for _, p := range w.phones {
		p.wants = false
		p.register(0)
	}
	w.mu.Unlock()
	time.Sleep(20 * time.Minute)
	e := w.server.Engine()
	if n := e.Transactions.Len(); n != 0 {
		w.fail("%d transactions are left", n)
	}
	if users, n := e.Location.Len(); users != 0 || n != 0 {
		w.fail("%d users with %d bindings are left", users, n)
	}
	for _, k := range budget.Kinds() {
		kept := int64(0)
		if k == budget.Bindings {
			kept = 24 * phones // that there were such users is remembered
		}
		if n := e.Budget.Used(k); n > kept && k != budget.Events && k != budget.Keys {
			w.fail("%d bytes of %s are left", n, k)
		}
	}
}

// end turns everything off.
func (w *world) end() {
	w.mu.Lock()
	w.over = true
	for _, p := range w.phones {
		p.off()
	}
	w.mu.Unlock()
	kept, lost, torn := w.server.Disk.Cuts()
	var counts []string
	w.doneMu.Lock()
	defer w.doneMu.Unlock()
	for _, what := range slices.Sorted(maps.Keys(w.done)) {
		counts = append(counts, fmt.Sprintf("%s: %d", what, w.done[what]))
	}
	w.t.Logf("%s simulated; of what was not synced at power cuts %d writes were kept, %d lost, %d torn\n%s",
		time.Since(w.start), kept, lost, torn, strings.Join(counts, "\n"))
	if *traced {
		w.t.Log(strings.Join(w.packets, "\n"))
	}
}
