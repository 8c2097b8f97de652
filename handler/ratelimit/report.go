package ratelimit

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/ratelog"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/wire"
)

// limitedTotal lives as long as the process, and each configuration registers it with its own registry.
var limitedTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
	Namespace: "caddy", Subsystem: "sip", Name: "rate_limited_total", Help: "Requests over a rate limit, by zone.",
}, []string{"zone"})

func counter(registry *prometheus.Registry, zone string) (prometheus.Counter, error) {
	if registry != nil {
		var registered prometheus.AlreadyRegisteredError
		if err := registry.Register(limitedTotal); err != nil && !errors.As(err, &registered) {
			return nil, err
		}
	}
	return limitedTotal.WithLabelValues(zone), nil
}

// limitedLog tells of each source once, and of no more than one a second: whoever forges their packets' sources must not be able to fill a disk.
type limitedLog struct {
	logger    *zap.Logger
	exceeding ratelog.Gate
	banning   ratelog.Gate
}

func (l *limitedLog) exceeded(r *module.Request, id *zoneID) {
	if more, ok := l.exceeding.Open(); ok {
		l.logger.Info("a source sends too much: requests are not served", describe(r, id, more)...)
	}
}

func (l *limitedLog) banned(r *module.Request, id *zoneID, d time.Duration) {
	if more, ok := l.banning.Open(); ok {
		l.logger.Warn("banned a source that sends too much", append(describe(r, id, more), zap.Duration("for", d))...)
	}
}

func describe(r *module.Request, id *zoneID, more uint64) []zap.Field {
	fields := []zap.Field{
		zap.String("zone", id.name), zap.String("source", r.Source().String()), zap.String("transport", r.Transport()),
		zap.Int("events", id.events), zap.Duration("window", id.window),
	}
	if id.key != sourceKey {
		fields = append(fields, zap.String("key", wire.Logged(r.Replace(id.key))))
	}
	return append(fields, ratelog.Suppressed(more))
}
