package module

import (
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddysip/caddysip/internal/metrics"
	"github.com/caddysip/caddysip/internal/workers"
	"github.com/caddysip/caddysip/wire"
)

var (
	requestsTotal = metrics.Counters("requests_total",
		"Requests by method and the status of their final response; status none: never answered.",
		"method", "status")

	lostEvents = metrics.Counter("lost_events_total",
		"Events that the handlers of Caddy's events app were too slow for.")

	collectors = []prometheus.Collector{requestsTotal, workers.RefusedTotal, lostEvents}
)

// requestCounters are the counters of requestsTotal that have been used, so that a request costs
// one atomic addition.
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
