package store

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/caddysip/caddysip/storage"
)

// lock waits for the other writers, or until ctx ends.
func (b *Bolt) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case b.writing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *Bolt) unlock() { <-b.writing }

// view runs f in a read-only transaction.
func (b *Bolt) view(f func(*bolt.Tx) error) error {
	return b.guard(func() error { return b.db.View(f) })
}

// errNothing rolls back a transaction that has changed nothing, so that nothing waits for the disk.
var errNothing = errors.New("nothing to write")

// update runs f in a read-write transaction, and wakes the watchers.
func (b *Bolt) update(ctx context.Context, f func(*boltWriter) error) error {
	if err := b.lock(ctx); err != nil {
		return err
	}
	defer b.unlock()
	var w boltWriter
	err := b.guard(func() error {
		return b.db.Update(func(tx *bolt.Tx) error {
			w.tx, w.revision = tx, revisionOf(tx)
			if err := f(&w); err != nil {
				return err
			}
			if len(w.events) == 0 {
				return errNothing
			}
			return setRevision(tx, w.revision)
		})
	})
	switch {
	case err == nil:
		b.log.append(w.events)
		if cap(b.data) > maxData {
			b.data = nil
		}
		if b.touched += len(w.events); b.touched >= 256 {
			b.releaseAll()
			b.touched = 0
		}
		return nil
	case errors.Is(err, errNothing):
		return nil
	}
	return err
}

// release gives the file's mapped pages back to the system once n entries have been used and that
// is many: the system decides whether to keep them cached.
func (b *Bolt) release(tx *bolt.Tx, n int) {
	if n >= 256 {
		b.releasePages(tx)
	}
}

func (b *Bolt) releasePages(tx *bolt.Tx) { unmap(b.db.Info().Data, tx.Size()) }

// guard runs f, which uses the file, and turns what bbolt does with a damaged file, a panic or a
// read where the file has no bytes, into an error. What follows such damage would be worse, so the
// engine refuses everything after it.
func (b *Bolt) guard(f func() error) error {
	if err := b.broken.Load(); err != nil {
		return *err
	}
	err := catch(f)
	var d *damage
	switch {
	case errors.As(err, &d):
		err = damaged(b.path, err)
		b.broken.Store(&err)
	case errors.Is(err, bolterrors.ErrDatabaseNotOpen):
		err = storage.ErrClosed
	case errors.Is(err, storage.ErrNotFound),
		errors.Is(err, storage.ErrConflict),
		errors.Is(err, errNothing):
	case err != nil:
		err = fmt.Errorf("storage file %s: %w", b.path, err)
	}
	return err
}

// damage is how a file was found to be damaged.
type damage struct{ cause any }

func (d *damage) Error() string { return fmt.Sprint(d.cause) }

// foreignPanic wraps a panic that has nothing to do with the file.
type foreignPanic struct{ value any }

// catch runs f, and returns a *damage when f panics or reads where the file has no bytes.
func catch(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch p := recover().(type) {
		case nil:
		case foreignPanic:
			panic(p.value)
		default:
			err = &damage{p}
		}
	}()
	return f()
}

func damaged(path string, err error) error {
	return fmt.Errorf(
		"the storage file %s is damaged (%w): put a copy of it back, or move it away "+
			"to start with an empty one, which phones fill again as they renew their registrations",
		path,
		err,
	)
}
