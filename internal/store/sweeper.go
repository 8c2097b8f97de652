package store

import (
	"sync"
	"time"
)

// sweepInterval is how often a part of the store is searched for what has expired. That is hidden
// in any case; sweeping frees its space.
const sweepInterval = 10 * time.Second

// sweeper runs a function every sweepInterval until it is closed.
type sweeper struct {
	once sync.Once
	stop chan struct{}
	done chan struct{}
}

func newSweeper(f func()) *sweeper {
	s := &sweeper{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		ticker := time.NewTicker(sweepInterval)
		defer ticker.Stop()
		for {
			select {
			case <-s.stop:
				return
			case <-ticker.C:
				f()
			}
		}
	}()
	return s
}

// close stops the sweeper. When it returns, the function is not running and will not run again.
func (s *sweeper) close() {
	s.once.Do(func() { close(s.stop) })
	<-s.done
}
