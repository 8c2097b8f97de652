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
	if got := stateCeilingOf(128 << 20); got < 32<<20 || got > 64<<20 {
		t.Errorf("in the least that may be configured, state may take %d bytes", got)
	}
	machine := machineMemory()
	if machine < 1<<28 {
		t.Fatalf("this machine has %d bytes of memory?", machine)
	}

	without := attach(0)
	check("no limit", stateCeilingOf(machine/2), before)
	first := attach(large)
	check("a limit", stateCeilingOf(large), share(large, runtimeShare))
	second := attach(small)
	check("another", stateCeilingOf(small), share(small, runtimeShare))
	e.Detach(second)
	check("rolled back", stateCeilingOf(large), share(large, runtimeShare))
	e.Detach(without)
	check("the first one gone", stateCeilingOf(large), share(large, runtimeShare))
	last := attach(0)
	e.Detach(first)
	check("none again", stateCeilingOf(machine/2), before)
	e.Detach(last)
}
