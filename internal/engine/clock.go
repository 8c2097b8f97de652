package engine

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/clock"
	"github.com/caddysip/caddysip/internal/ratelog"
)

// clockInterval is how often clockWatch checks whether the system's clock has been set.
const clockInterval = time.Second

// clockWatch checks whether the system's clock has been set.
type clockWatch struct {
	loop *clock.Loop

	keys   bool // those with a ttl are to be stored again; guarded by Engine.mu
	failed ratelog.Gate
}

// watchClock starts checking.
func (e *Engine) watchClock() {
	e.clockWatch.failed.Interval = time.Minute
	e.clockWatch.loop = clock.Every(clockInterval, func() {
		if e.mu.TryLock() { // who holds it may wait for a disk
			e.checkClock()
			e.mu.Unlock()
		}
	})
}

// checkClock stores everything that expires again if the system's clock has been set: in storages
// everything expires by that clock. The caller holds e.mu.
func (e *Engine) checkClock() {
	if by, set := e.clock.Check(); set {
		e.Logger().Warn("the system's clock was set: registrations and keys last as long as before",
			zap.Duration("by", by.Round(time.Second)))
		e.registrations.MarkAll()
		e.Delivery.NotifyClockSet()
		e.clockWatch.keys = true
	}
	if !e.clockWatch.keys {
		return
	}
	if err := e.Keys.Rewrite(context.Background()); err != nil {
		storageErrors.Inc()
		e.clockWatch.failed.Log(e.Logger(), zap.ErrorLevel,
			"writing to the storage; trying again", zap.Error(err))
		return
	}
	e.clockWatch.keys = false
}
