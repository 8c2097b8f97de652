package engine

import (
	"runtime/debug"
	"testing"
)

// TestMemory attaches configurations with and without a memory limit, and takes them back.
func TestMemory(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "")
	before := debug.SetMemoryLimit(-1)
	e := New()
	defer func() {
		_ = e.Destruct()
		if got := debug.SetMemoryLimit(-1); got != before {
			t.Errorf("the runtime's limit is %d in the end, it was %d", got, before)
		}
	}()
	check := func(what string, ceiling, runtime int64) {
		t.Helper()
		if got := e.Budget.Ceiling(); got != ceiling {
			t.Errorf("%s: state may take %d bytes, want %d", what, got, ceiling)
		}
		if got := debug.SetMemoryLimit(-1); got != runtime {
			t.Errorf("%s: the runtime may take %d bytes, want %d", what, got, runtime)
		}
	}
	attach := func(memory int64) *Generation {
		t.Helper()
		g := &Generation{Memory: memory}
		if err := e.Attach(g); err != nil {
			t.Fatal(err)
		}
		return g
	}
	const (
		large = 1 << 30
		small = 1 << 29
	)
	share := func(limit int64, share float64) int64 { return int64(float64(limit) * share) }
	machine := machineMemory()
	if machine < 1<<28 {
		t.Fatalf("this machine has %d bytes of memory?", machine)
	}

	without := attach(0)
	check("no limit", share(machine/2, stateShare), before)
	first := attach(large)
	check("a limit", share(large, stateShare), share(large, runtimeShare))
	second := attach(small)
	check("another", share(small, stateShare), share(small, runtimeShare))
	e.Detach(second)
	check("rolled back", share(large, stateShare), share(large, runtimeShare))
	e.Detach(without)
	check("the first one gone", share(large, stateShare), share(large, runtimeShare))
	last := attach(0)
	e.Detach(first)
	check("none again", share(machine/2, stateShare), before)
	e.Detach(last)
}
