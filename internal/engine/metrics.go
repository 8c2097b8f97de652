package engine

import "github.com/prometheus/client_golang/prometheus"

// The metrics live as long as the process: each configuration registers them with its own registry, so that counters survive a
// reload and are never registered twice.
var (
	droppedTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy", Subsystem: "sip", Name: "dropped_total",
		Help: "Messages that were dropped or refused before any route saw them, by reason.",
	}, []string{"reason"})

	droppedMalformed = Dropped("malformed")
	droppedStray     = Dropped("stray_response")
	droppedIdle      = Dropped("no_configuration")
)

// Dropped returns the counter of messages dropped for a reason.
func Dropped(reason string) prometheus.Counter { return droppedTotal.WithLabelValues(reason) }

// Collectors returns the engine's metrics.
func (e *Engine) Collectors() []prometheus.Collector {
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "caddy", Subsystem: "sip", Name: name, Help: help}, f)
	}
	return []prometheus.Collector{
		droppedTotal,
		gauge("transactions", "Transactions held now.", func() float64 { return float64(e.Transactions.Len()) }),
		gauge("bindings", "Contacts registered now.", func() float64 { _, n := e.Location.Len(); return float64(n) }),
	}
}
