package engine

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/store"
	"github.com/caddysip/caddysip/storage"
)

// bucketRegistrations is the bucket that holds a key for each address-of-record that has bindings.
const bucketRegistrations = "registrations"

// Storage returns the storage of the generation in force, nil if there is none.
func (e *Engine) Storage() storage.Engine {
	if g := e.current.Load(); g != nil {
		return g.storage
	}
	return nil
}

// openStorage opens the storage that g wants, unless it is open, and restores the registrations in
// it. A binding that is in memory is not replaced: a phone that is registered now knows better. The
// caller holds e.mu.
func (e *Engine) openStorage(g *Generation) error {
	if g.Storage == nil {
		return nil
	}
	identity := g.Storage.Identity()
	if s, ok := e.stores[identity]; ok {
		g.storage = s
		return nil
	}
	s, err := g.Storage.Open(context.Background())
	if err != nil {
		return err
	}
	aors, _ := e.Location.Len()
	if err := e.restore(s, g.Logger); err != nil {
		return fmt.Errorf("restoring registrations: %w", err)
	}
	g.storage, g.restored = s, aors == 0
	e.stores[identity] = s
	return nil
}

// restore reads the stored registrations into memory. One that cannot be read is logged and
// skipped.
func (e *Engine) restore(s storage.Engine, logger *zap.Logger) error {
	start := time.Now()
	n := 0
	_, err := s.Range(
		context.Background(),
		bucketRegistrations,
		"",
		func(entry storage.Entry) error {
			records, err := location.ParseStored(entry.Key, entry.Value)
			for i := range records {
				e.markRestored(records[i].Source.Addr(), records[i].AOR)
			}
			err = cmp.Or(err, e.Location.Restore(records...))
			if n += len(records); n/manyBindings != (n-len(records))/manyBindings {
				e.adaptGarbage()
			}
			if err != nil {
				logger.Error(
					"a stored registration is lost",
					zap.Error(err),
				) // the others are restored
			}
			return nil
		},
	)
	if err != nil {
		_ = s.Close()
		return err
	}
	if n > 0 {
		logger.Info(
			"registrations restored",
			zap.Int("contacts", n),
			zap.Duration("took", time.Since(start)),
		)
	}
	return nil
}

// adaptGarbage adapts the garbage collector to what there is.
func (e *Engine) adaptGarbage() {
	_, n := e.Location.Len()
	e.garbage.adapt(liveHeap(), n)
}

// useStorage directs the writing of registrations to the storage of g. The caller holds e.mu.
func (e *Engine) useStorage(g *Generation) {
	if g == nil {
		e.registrations.SwitchTo(nil, false)
		return
	}
	s := g.storage
	if _, ok := s.(*store.Memory); ok {
		s = nil // what would be saved there is in memory anyway
	}
	e.registrations.SwitchTo(s, g.restored)
	g.restored = false
}

// closeStorage closes the storages that no generation wants. The caller holds e.mu.
func (e *Engine) closeStorage() {
	for identity, s := range e.stores {
		if e.wantsStorage(s) {
			continue
		}
		delete(e.stores, identity)
		if err := closeInTime(s); err != nil {
			storageErrors.Inc()
			e.Logger().Error("closing a storage", zap.String("storage", identity), zap.Error(err))
		}
	}
}

// closeTime is how long a storage may take to close.
const closeTime = 10 * time.Second

// closeInTime closes a storage. One whose disk does not answer within closeTime is abandoned, so
// that neither a stop nor a reload waits for it for ever.
func closeInTime(s storage.Engine) error {
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	timer := time.NewTimer(closeTime)
	defer timer.Stop()
	select {
	case err := <-closed:
		return err
	case <-timer.C:
		return fmt.Errorf("it did not answer within %v", closeTime)
	}
}

// wantsStorage reports whether any generation on the stack uses s.
func (e *Engine) wantsStorage(s storage.Engine) bool {
	for _, g := range e.stack {
		if g.storage == s {
			return true
		}
	}
	return false
}

// source returns how the registrations are read for saving.
func (e *Engine) source() store.Source {
	return store.Source{
		Bucket: bucketRegistrations,
		Append: e.appendRegistrations,
		Keys: func(f func(string)) {
			e.Location.Range("", 0, func(aor string, _ []*location.Binding) bool {
				f(aor)
				return true
			})
		},
		Written: e.adaptGarbage,
		Logger:  e.Logger,
		Failed:  storageErrors.Inc,
	}
}

// appendRegistrations appends the stored form of the bindings of an address-of-record and returns
// when the last of them expires.
func (e *Engine) appendRegistrations(dst []byte, aor string) ([]byte, time.Time) {
	var room [8]*location.Binding
	return e.Location.AppendStored(dst, e.Location.All([]byte(aor), room[:0]))
}
