package clock

import (
	"sync"
	"time"
)

// Loop calls a function at an interval until it is closed.
type Loop struct {
	once          sync.Once
	stop, stopped chan struct{}
}

// Every starts a Loop. The first call comes after the interval.
func Every(interval time.Duration, f func()) *Loop {
	l := &Loop{stop: make(chan struct{}), stopped: make(chan struct{})}
	go func() {
		defer close(l.stopped)
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-l.stop:
				return
			case <-ticker.C:
				f()
			}
		}
	}()
	return l
}

// Close ends the Loop; it may be called again. When it returns, the function is not running and will
// not be called any more.
func (l *Loop) Close() {
	l.once.Do(func() { close(l.stop) })
	<-l.stopped
}
