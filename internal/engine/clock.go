package engine

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/ratelog"
)

// clockInterval is how often clockWatch checks whether the system's clock has been set.
const clockInterval = time.Second

// clockWatch checks whether the system's clock has been set.
type clockWatch struct {
	once          sync.Once
	stop, stopped chan struct{}

	keys   bool // those with a ttl are to be stored again; guarded by Engine.mu
	failed ratelog.Gate
}

// watchClock starts checking.
func (e *Engine) watchClock() {
	w := &e.clockWatch
	w.failed.Interval = time.Minute
	w.stop, w.stopped = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(w.stopped)
		ticker := time.NewTicker(clockInterval)
		defer ticker.Stop()
		for {
			select {
			case <-w.stop:
				return
			case <-ticker.C:
			}
			if e.mu.TryLock() { // who holds it may wait for a disk
				e.checkClock()
				e.mu.Unlock()
			}
		}
	}()
}

func (w *clockWatch) close() {
	w.once.Do(func() { close(w.stop) })
	<-w.stopped
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
