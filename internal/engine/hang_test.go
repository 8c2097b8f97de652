package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddysip/caddysip/internal/store"
	"github.com/caddysip/caddysip/storage"
)

// hanging is a storage whose disk has stopped to answer.
type hanging struct {
	*store.Memory
	hold chan struct{}
}

func (h hanging) Write(context.Context, storage.Batch) ([]uint64, error) {
	<-h.hold
	return nil, storage.ErrClosed
}

func (h hanging) Close() error {
	<-h.hold
	return h.Memory.Close()
}

// TestStorageThatHangs: neither a stop nor a reload waits for ever, and the log says what is
// missing.
func TestStorageThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hanging{store.NewMemory(), make(chan struct{})}
		core, logs := observer.New(zap.ErrorLevel)
		e := newEngine(t)
		g := stored(&countingStorage{name: "hanging", open: func() (storage.Engine, error) { return h, nil }})
		g.Logger = zap.New(core)
		mustAttach(t, e, g)
		for _, user := range []string{"alice", "bob", "carol"} {
			register(t, e, user, 1, time.Hour)
		}
		other := stored(&countingStorage{name: "other", open: func() (storage.Engine, error) { return hanging{store.NewMemory(), h.hold}, nil }})
		other.Logger = g.Logger
		start := time.Now()
		mustAttach(t, e, other)
		e.Detach(g)
		if took := time.Since(start); took > time.Minute {
			t.Errorf("the reload took %v", took)
		}
		start = time.Now()
		e.Detach(other)
		if took := time.Since(start); took > time.Minute {
			t.Errorf("the stop took %v", took)
		}
		missing, closing := 0, 0
		for _, entry := range logs.All() {
			if n, ok := entry.ContextMap()["missing"].(int64); ok && n == 3 {
				missing++
			}
			if entry.Message == "closing a storage" {
				closing++
			}
		}
		if missing != 2 || closing != 2 { // one each
			t.Errorf("logged %+v", logs.All())
		}
		close(h.hold)
	})
}
