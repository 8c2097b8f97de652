package ratelimit

import (
	"time"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/metrics"
	"github.com/caddysip/caddysip/internal/ratelog"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/wire"
)

var limitedTotal = metrics.Counters("rate_limited_total", "Requests over a rate limit, by zone.", "zone")

// limitedLog logs no more than one source a second: whoever forges their packets' sources must not
// be able to fill a disk.
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
		fields = append(fields, zap.String("key", wire.ForLog(r.Replace(id.key))))
	}
	return append(fields, ratelog.Suppressed(more))
}
