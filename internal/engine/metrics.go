package engine

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddysip/caddysip/internal/metrics"
	"github.com/caddysip/caddysip/internal/sip/transaction"
	"github.com/caddysip/caddysip/internal/sip/transport"
)

var (
	droppedTotal = metrics.Counters(
		"dropped_total",
		"Messages that were dropped or refused before any route saw them, by reason.",
		"reason",
	)
	eventsTotal = metrics.Counters(
		"transaction_events_total",
		"What happened to transactions, by event.",
		"event",
	)
	bytesTotal = metrics.Counters(
		"bytes_total",
		"Bytes received and sent.",
		"transport",
		"direction",
	)
	packetsTotal = metrics.Counters(
		"packets_total",
		"Datagrams received and sent, and messages received on streams.",
		"transport",
		"direction",
	)

	refusedTotal = metrics.Counters(
		"registrations_refused_total",
		"Registrations that were refused because there are too many, by the limit.",
		"reason",
	)

	panics        = metrics.Counter("panics_total", "Panics that were caught.")
	storageErrors = metrics.Counter(
		"storage_errors_total",
		"Errors while writing registrations to the storage.",
	)

	droppedMalformed = Dropped("malformed")
	droppedHeaders   = Dropped("headers")
	droppedStray     = Dropped("stray_response")
	droppedIdle      = Dropped("no_configuration")
	refusedBusy      = Dropped("overload_refused")
	droppedBusy      = Dropped("overload")
	droppedRetired   = Dropped("no_listener")
	droppedBanned    = Dropped(transport.DropBanned)
)

// Dropped returns the counter of messages dropped for a reason.
func Dropped(reason string) prometheus.Counter { return droppedTotal.WithLabelValues(reason) }

// RegistrationRefused returns the counter of registrations refused for a reason.
func RegistrationRefused(reason string) prometheus.Counter {
	return refusedTotal.WithLabelValues(reason)
}

// transactionEvents holds the counters of eventsTotal, resolved once because they are on the path
// of packets.
var transactionEvents = func() (c [transaction.Unreachable + 1]prometheus.Counter) {
	for e := range c {
		c[e] = eventsTotal.WithLabelValues(transaction.Event(e).String())
	}
	return c
}()

func countTransaction(e transaction.Event) { transactionEvents[e].Inc() }

// traffic holds the counters of bytes and packets, resolved once: by transport, then sent (0) or
// received (1).
var traffic = func() (c [transport.WSS + 1][2]struct{ bytes, packets prometheus.Counter }) {
	for n := range c {
		for i, direction := range [...]string{"sent", "received"} {
			name := transport.Network(n).String()
			c[n][i].bytes = bytesTotal.WithLabelValues(name, direction)
			c[n][i].packets = packetsTotal.WithLabelValues(name, direction)
		}
	}
	return c
}()

func countTraffic(n transport.Network, received bool, messages, bytes int) {
	direction := 0
	if received {
		direction = 1
	}
	c := &traffic[n][direction]
	c.bytes.Add(float64(bytes))
	c.packets.Add(float64(messages))
}

// CountPanic counts a panic that was caught outside the engine.
func CountPanic() { panics.Inc() }

// Collectors returns the engine's metrics, for the registry of a configuration.
func (e *Engine) Collectors() []prometheus.Collector {
	return []prometheus.Collector{
		droppedTotal, refusedTotal, eventsTotal, bytesTotal, packetsTotal, panics, storageErrors,
		keyPushes, keepAlives,
		memoryMetrics{e.Budget},
		metrics.Gauge(
			"transactions",
			"Transactions held now.",
			func() float64 { return float64(e.Transactions.Len()) },
		),
		metrics.Gauge(
			"bans",
			"Sources banned now.",
			func() float64 { return float64(e.Bans.Len()) },
		),
		metrics.Gauge(
			"bindings",
			"Contacts registered now.",
			func() float64 { _, n := e.Location.Len(); return float64(n) },
		),
		metrics.Gauge(
			"binding_bytes",
			"Memory that the contacts registered now take.",
			func() float64 { return float64(e.Location.Bytes()) },
		),
	}
}
