package store

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/storage"
)

// writer writes what a WriteBehind collects to one engine, on a goroutine of its own. It shares
// nothing that it needs with the next writer, so that one whose engine hangs can be abandoned.
type writer struct {
	b        *WriteBehind
	engine   storage.Engine
	ctx      context.Context // ends when the writer is to write what is pending, and stop
	end      context.CancelFunc
	deadline time.Time     // by which it is to stop; set before ctx ends
	done     chan struct{} // closed when it has stopped
	err      error         // why not everything was written; read after done is closed
	taken    atomic.Int64  // number of keys being written

	// Memory that is reused.
	spare   [behindShards]map[string]struct{}
	keys    []string
	changes []storage.Change
	data    []byte
}

func newWriter(b *WriteBehind, e storage.Engine) *writer {
	w := &writer{b: b, engine: e, done: make(chan struct{})}
	w.ctx, w.end = context.WithCancel(context.Background())
	go w.run()
	return w
}

func (w *writer) run() {
	defer close(w.done)
	delay := behindDelay
	for w.woken() && w.wait(delay+w.b.source.After) {
		start := time.Now()
		err := w.flush(w.ctx)
		delay = min(max(behindDelay, behindShare*time.Since(start)), behindLongest)
		if err == nil || w.ctx.Err() != nil {
			continue
		}
		w.b.failed("writing to the storage; trying again", err)
		if !w.wait(behindRetry - behindDelay) {
			break
		}
		delay = behindDelay
	}
	ctx, cancel := context.WithDeadline(context.Background(), w.deadline)
	defer cancel()
	w.err = w.flush(ctx)
}

// finish lets the writer write what is pending, and waits until it has, or for 31 seconds at most.
func (w *writer) finish() {
	w.deadline = time.Now().Add(behindClose)
	w.end()
	timer := time.NewTimer(
		behindClose + behindRetry,
	) // the engine needs a moment to notice the deadline
	defer timer.Stop()
	select {
	case <-w.done:
		if w.err != nil {
			w.lost(w.err)
		}
	case <-timer.C:
		w.lost(fmt.Errorf("the storage did not answer within %v", behindClose))
	}
}

// lost logs how many keys are not written when the writer stops.
func (w *writer) lost(err error) {
	n := int(w.taken.Load())
	if w.b.all.Load() {
		w.b.source.Keys(func(string) { n++ })
	} else {
		n += w.b.marked()
	}
	w.b.source.Failed()
	w.b.source.Logger().Error("not everything was written before the storage is closed; "+
		"what is missing comes back when phones register again",
		zap.String("bucket", w.b.source.Bucket), zap.Int("missing", n), zap.Error(err))
}

// woken waits until there is something to write. It returns false when the writer is to stop.
func (w *writer) woken() bool {
	select {
	case <-w.ctx.Done():
		return false
	case <-w.b.wake:
		return true
	}
}

// wait waits for d. It returns false when the writer is to stop.
func (w *writer) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-w.ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// flush writes what has changed. After an error, what is not written yet stays marked.
func (w *writer) flush(ctx context.Context) (err error) {
	b := w.b
	b.pending.Store(false)
	all := b.all.Swap(false)
	keys := w.take()
	defer b.source.Written()
	defer w.forget()
	if all {
		err = w.rewrite(ctx)
	} else {
		slices.Sort(keys) // neighbours share pages on the disk
		keys, err = w.write(ctx, keys)
	}
	if err == nil {
		return nil
	}
	for _, key := range keys {
		b.mark(key)
	}
	w.taken.Store(0)
	if all {
		b.all.Store(true)
	}
	b.wakeWriter()
	return err
}

// take returns the keys that have changed and unmarks them. The slice is valid until the next call.
func (w *writer) take() []string {
	keys := w.keys[:0]
	for i := range w.b.shards {
		s := &w.b.shards[i]
		s.mu.Lock()
		taken := s.keys
		s.keys, s.bytes, w.spare[i] = w.spare[i], 0, nil
		s.mu.Unlock()
		for key := range taken {
			keys = append(keys, key)
		}
		// A map does not shrink: one that was large is not reused.
		if len(taken) < 1024 {
			clear(taken)
			w.spare[i] = taken
		}
	}
	w.keys = keys
	return keys
}

// write writes the values that the keys have now. After an error it returns the keys not written.
func (w *writer) write(ctx context.Context, keys []string) (unwritten []string, err error) {
	for len(keys) > 0 {
		w.taken.Store(int64(len(keys)))
		if err := ctx.Err(); err != nil {
			return keys, err
		}
		n := 0
		changes, data := w.changes[:0], w.data[:0]
		for n < len(keys) && len(changes) < batchChanges && len(data) < batchBytes {
			key := keys[n]
			n++
			c := storage.Change{Bucket: w.b.source.Bucket, Key: key}
			start := len(data)
			data, c.Expires = w.b.source.Append(data, key)
			if len(data) > start {
				c.Value = data[start:len(data):len(data)]
			}
			if err := c.Validate(); err != nil {
				w.b.failed("this is not kept", err) // it would be refused every time
				continue
			}
			changes = append(changes, c)
		}
		w.changes, w.data = changes, data
		if len(changes) > 0 {
			if _, err := w.engine.Write(ctx, storage.Batch{Changes: changes}); err != nil {
				return keys, err
			}
		}
		keys = keys[n:]
	}
	w.taken.Store(0)
	return nil, nil
}

// forget drops references to what was written, and keeps the memory for the next time unless it is
// much.
func (w *writer) forget() {
	clear(w.changes)
	if cap(w.data) > batchBytes+storage.MaxValue {
		w.data = nil
	}
	clear(w.keys)
	if cap(w.keys) > batchChanges {
		w.keys = nil
	}
}

// rewrite writes everything, and deletes from the engine what is not there any more.
func (w *writer) rewrite(ctx context.Context) error {
	keys := make(map[string]struct{})
	w.b.source.Keys(func(key string) { keys[key] = struct{}{} })
	w.taken.Store(int64(len(keys)))
	// A key that only the engine has is looked up like the rest, and found to have no value.
	_, err := w.engine.Range(ctx, w.b.source.Bucket, "", func(e storage.Entry) error {
		keys[e.Key] = struct{}{}
		return nil
	})
	if err != nil {
		return err
	}
	list := make([]string, 0, len(keys))
	for key := range keys {
		list = append(list, key)
	}
	slices.Sort(list)
	_, err = w.write(ctx, list)
	return err
}
