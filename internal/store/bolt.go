package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/caddysip/caddysip/internal/clock"
	"github.com/caddysip/caddysip/storage"
)

// Bolt is an engine that keeps everything in one file, which belongs to one process at a time. Each
// batch is one transaction of bbolt: it is on the disk when Write returns, whether Sync is set or
// not, and a power cut leaves either all of it or nothing.
type Bolt struct {
	path    string
	db      *bolt.DB
	file    *os.File      // the file of db
	writing chan struct{} // the writer's lock: full while somebody writes
	data    []byte        // the values of the batch being written; guarded by writing
	touched int           // changes since release; guarded by writing
	log     changeLog
	sweeper *clock.Loop
	broken  atomic.Pointer[error] // the damage found in the file, nil: none

	sweepBucket, sweepKey []byte // where sweepSome continues
}

// An entry is stored as its revision and its expiry in milliseconds since 1970, both as varints,
// and then the value.
const maxEntryHeader = 2 * binary.MaxVarintLen64

// maxData is up to how many bytes the block for the values of a batch is kept for the next batch.
const maxData = 4 << 20

func appendEntry(dst []byte, revision uint64, expires int64, value []byte) []byte {
	dst = binary.AppendUvarint(dst, revision)
	dst = binary.AppendUvarint(dst, uint64(expires))
	return append(dst, value...)
}

func parseEntry(data []byte) (revision uint64, expires int64, value []byte) {
	revision, n := binary.Uvarint(data)
	if n > 0 {
		data = data[n:]
		e, n := binary.Uvarint(data)
		if n > 0 {
			return revision, int64(e), data[n:]
		}
	}
	panic("an entry cannot be read") // guard turns it into an error
}

// Get implements Engine.
func (b *Bolt) Get(ctx context.Context, bucket, key string) (e storage.Entry, err error) {
	if err := ctx.Err(); err != nil {
		return storage.Entry{}, err
	}
	err = b.view(func(tx *bolt.Tx) error {
		data := entries(tx, bucket).get([]byte(key))
		if data == nil {
			return notFound(bucket, key)
		}
		revision, expires, value := parseEntry(data)
		if expired(expires, time.Now().UnixMilli()) {
			return notFound(bucket, key)
		}
		e = entry(key, bytes.Clone(value), revision, expires)
		return nil
	})
	return e, err
}

// Range implements Engine.
func (b *Bolt) Range(
	ctx context.Context, bucket, prefix string, f func(storage.Entry) error,
) (revision uint64, err error) {
	var stopped error // what f returned, or why ctx ended
	err = b.view(func(tx *bolt.Tx) error {
		revision = revisionOf(tx)
		now := time.Now().UnixMilli()
		c := entries(tx, bucket).cursor()
		if c == nil {
			return nil
		}
		n := 0
		defer func() { b.release(tx, n) }()
		start := []byte(prefix)
		for k, v := c.Seek(start); k != nil && bytes.HasPrefix(k, start); k, v = c.Next() {
			if n++; n%4096 == 0 {
				b.release(tx, n)
			}
			r, expires, value := parseEntry(v)
			if expired(expires, now) {
				continue
			}
			if stopped = ctx.Err(); stopped == nil {
				stopped = call(f, entry(string(k), value, r, expires))
			}
			if stopped != nil {
				return nil
			}
		}
		return nil
	})
	if err = cmp.Or(err, stopped); err != nil {
		return 0, err
	}
	return revision, nil
}

// call calls f. A panic of f does not mean that the file is damaged.
func call(f func(storage.Entry) error, e storage.Entry) error {
	defer func() {
		if p := recover(); p != nil {
			panic(foreignPanic{p})
		}
	}()
	return f(e)
}

// Write implements Engine.
func (b *Bolt) Write(ctx context.Context, batch storage.Batch) (revisions []uint64, err error) {
	size := 0
	for i := range batch.Changes {
		c := &batch.Changes[i]
		if err := c.Validate(); err != nil {
			return nil, err
		}
		size += maxEntryHeader + len(c.Value)
	}
	err = b.update(ctx, func(w *boltWriter) error {
		// bbolt needs the values until the end of the transaction: they are one block.
		b.data = slices.Grow(b.data[:0], size)
		w.data = b.data
		w.events = make([]logEvent, 0, len(batch.Changes))
		revisions = make([]uint64, len(batch.Changes))
		now := time.Now().UnixMilli()
		for i := range batch.Changes {
			if revisions[i], err = w.change(&batch.Changes[i], now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return revisions, nil
}

// boltWriter makes the changes of one transaction.
type boltWriter struct {
	tx       *bolt.Tx
	revision uint64
	data     []byte
	events   []logEvent
}

// change makes one change and returns its revision, 0 if there was nothing to delete. now is in
// milliseconds since 1970.
func (w *boltWriter) change(c *storage.Change, now int64) (uint64, error) {
	key := []byte(c.Key)
	bucket := entries(w.tx, c.Bucket)
	if c.Expect != 0 || c.Value == nil {
		var current uint64
		old := bucket.get(key)
		if old != nil {
			revision, expires, _ := parseEntry(old)
			if !expired(expires, now) {
				current = revision
			}
		}
		if err := c.Admit(current); err != nil {
			return 0, err
		}
		if c.Value == nil && old == nil {
			return 0, nil
		}
	}
	w.revision++
	if c.Value == nil {
		if err := bucket.Delete(key); err != nil {
			return 0, err
		}
	} else {
		if bucket.Bucket == nil {
			var err error
			if bucket.Bucket, err = w.tx.Bucket(bucketData).CreateBucket([]byte(c.Bucket)); err != nil {
				return 0, err
			}
		}
		start := len(w.data)
		w.data = appendEntry(w.data, w.revision, millis(c.Expires), c.Value)
		if err := bucket.Put(key, w.data[start:]); err != nil {
			return 0, err
		}
	}
	w.events = append(w.events, logEvent{c.Bucket, c.Key, w.revision, c.Value == nil})
	return w.revision, nil
}

// Watch implements Engine. Since the file belongs to this process, what this process wrote is all
// there is to see. What was written before the file was opened is not known.
func (b *Bolt) Watch(
	ctx context.Context,
	bucket string,
	after uint64,
	f func(storage.Event) error,
) error {
	// A revision that Range has seen may not be in the log yet, for the moment in which its writer
	// still holds the lock.
	if err := b.lock(ctx); err != nil {
		return err
	}
	b.unlock()
	return b.log.watch(ctx, bucket, after, f, b.Get)
}

// Close implements Engine.
func (b *Bolt) Close() error {
	b.sweeper.Close()
	_ = b.lock(context.Background())
	defer b.unlock()
	b.log.close()
	if err := b.closeFile(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("closing the storage file %s: %w", b.path, err)
	}
	return nil
}

// Interface guard
var _ storage.Engine = (*Bolt)(nil)
