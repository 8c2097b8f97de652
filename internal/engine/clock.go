package engine

import (
	"sync"
	"time"

	"go.uber.org/zap"
)

// clockInterval is how often it is looked whether the system's clock has been set.
const clockInterval = time.Second

// clockWatch looks whether the system's clock has been set.
type clockWatch struct {
	once          sync.Once
	stop, stopped chan struct{}
}

// watchClock begins to look.
func (e *Engine) watchClock() {
	w := &e.clockWatch
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

// checkClock has what is stored with a time be stored again if the system's clock has been set: in
// the storages everything ends by that one. The caller holds e.mu.
func (e *Engine) checkClock() {
	by, set := e.clock.Check()
	if !set {
		return
	}
	e.Logger().Warn("the system's clock was set: registrations and keys last as long as before",
		zap.Duration("by", by.Round(time.Second)))
	e.registrations.MarkAll()
	e.Delivery.NotifyClockSet()
}
