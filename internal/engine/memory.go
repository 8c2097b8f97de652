package engine

import (
	"math"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddysip/caddysip/internal/budget"
	"github.com/caddysip/caddysip/internal/metrics"
)

const (
	// unknownMemory is assumed where the system does not say how much memory the machine has.
	unknownMemory = 2 << 30

	// programMemory is what the program takes, with Caddy, before it holds any state.
	programMemory = 48 << 20

	// State may take this share of the rest. What remains is for work in progress (buffers,
	// goroutines) and for garbage that is not collected yet.
	stateShare = 0.6

	// The runtime collects garbage so as to stay below this share. Its figure leaves out some of
	// the stacks and what the kernel holds for us.
	runtimeShare = 0.9
)

// limitMemory sets how much memory the process may take, half of the machine's if g does not say.
// Only a limit that was configured is passed to the Go runtime too: there may be other Caddy apps.
// The caller holds e.mu.
func (e *Engine) limitMemory(g *Generation) {
	limit := g.Memory
	if limit == 0 {
		limit = machineMemory() / 2
	}
	e.Budget.SetCeiling(stateCeilingOf(limit))
	e.garbage.limitMemory(int64(float64(g.Memory) * runtimeShare))
}

// stateCeilingOf returns how many bytes of state there may be in a process that may take limit
// bytes.
func stateCeilingOf(limit int64) int64 {
	return int64(float64(max(limit-programMemory, 0)) * stateShare)
}

// machineMemory returns how many bytes of memory the machine or its container has.
func machineMemory() int64 {
	least := uint64(math.MaxUint64)
	for _, provider := range []memlimit.Provider{memlimit.FromCgroup, memlimit.FromSystem} {
		if n, err := provider(); err == nil && n > 0 {
			least = min(least, n)
		}
	}
	if least > math.MaxInt64 {
		return unknownMemory
	}
	return int64(least)
}

// memoryMetrics exports the budget: bytes in use and refusals by kind, and the ceiling.
type memoryMetrics struct{ budget *budget.Budget }

var (
	stateBytes = metrics.Desc(
		"state_bytes",
		"Memory that state takes, by what it is held for.",
		"for",
	)
	stateCeiling = metrics.Desc("state_bytes_limit", "Memory that state may take in all.")
	stateRefused = metrics.Desc(
		"state_refused_total",
		"How often more state was refused for want of memory, by what for.",
		"for",
	)
)

// Describe implements prometheus.Collector.
func (m memoryMetrics) Describe(c chan<- *prometheus.Desc) {
	c <- stateBytes
	c <- stateCeiling
	c <- stateRefused
}

// Collect implements prometheus.Collector.
func (m memoryMetrics) Collect(c chan<- prometheus.Metric) {
	for _, k := range budget.Kinds() {
		used, refused := float64(m.budget.Used(k)), float64(m.budget.Refused(k))
		c <- prometheus.MustNewConstMetric(stateBytes, prometheus.GaugeValue, used, k.String())
		c <- prometheus.MustNewConstMetric(stateRefused, prometheus.CounterValue, refused, k.String())
	}
	ceiling := float64(m.budget.Ceiling())
	c <- prometheus.MustNewConstMetric(stateCeiling, prometheus.GaugeValue, ceiling)
}
