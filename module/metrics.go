package module

import (
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddysip/caddysip/wire"
)

// The metrics live as long as the process, and each configuration registers them with its own registry.
var (
	requestsTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy", Subsystem: "sip", Name: "requests_total",
		Help: "Requests by method and the status of their final response; status none: never answered.",
	}, []string{"method", "status"})

	// LRCPushes counts the lamp messages of handlers by outcome: acknowledged, refused, timeout, failed.
	LRCPushes = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy", Subsystem: "sip", Name: "lrc_pushes_total",
		Help: "Messages with keys and lamps sent to phones, by outcome.",
	}, []string{"outcome"})

	lostEvents = prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: "caddy", Subsystem: "sip", Name: "lost_events_total",
		Help: "Events that the handlers of Caddy's events app were too slow for.",
	})

	refusedTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy", Subsystem: "sip", Name: "waiting_refused_total",
		Help: "Requests that were refused because too many were waiting already, by what for.",
	}, []string{"pool"})

	collectors = []prometheus.Collector{requestsTotal, refusedTotal, LRCPushes, lostEvents}
)

// requestCounters are the counters of requestsTotal that have been used, so that a request costs one atomic addition.
var requestCounters [wire.NumMethods][700]atomic.Pointer[prometheus.Counter]

func countRequest(m wire.Method, status int) {
	if status < 0 || status >= 700 {
		status = 0
	}
	slot := &requestCounters[m][status]
	c := slot.Load()
	if c == nil {
		label := "none"
		if status > 0 {
			label = strconv.Itoa(status)
		}
		counter := requestsTotal.WithLabelValues(m.String(), label)
		c = &counter
		slot.Store(c)
	}
	(*c).Inc()
}
