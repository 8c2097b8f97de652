package store

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddysip/caddysip/internal/clock"
	"github.com/caddysip/caddysip/storage"
)

// Memory is an engine that keeps everything in memory. When it is closed, everything is lost.
type Memory struct {
	mu       sync.RWMutex
	buckets  map[string]map[string]memoryItem
	revision uint64
	closed   bool
	log      changeLog
	sweeper  *clock.Loop
}

type memoryItem struct {
	value    []byte // immutable
	revision uint64
	expires  int64 // milliseconds since 1970; 0: never
}

// NewMemory returns an empty engine.
func NewMemory() *Memory {
	m := &Memory{buckets: make(map[string]map[string]memoryItem)}
	m.log.start(0)
	m.sweeper = clock.Every(sweepInterval, m.sweep)
	return m
}

// Get implements Engine.
func (m *Memory) Get(ctx context.Context, bucket, key string) (storage.Entry, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if err := m.usable(ctx); err != nil {
		return storage.Entry{}, err
	}
	it, ok := m.buckets[bucket][key]
	if !ok || expired(it.expires, time.Now().UnixMilli()) {
		return storage.Entry{}, notFound(bucket, key)
	}
	return entry(key, bytes.Clone(it.value), it.revision, it.expires), nil
}

// usable returns why the engine cannot be used: it is closed, or ctx has ended.
func (m *Memory) usable(ctx context.Context) error {
	if m.closed {
		return storage.ErrClosed
	}
	return ctx.Err()
}

// Range implements Engine.
func (m *Memory) Range(
	ctx context.Context, bucket, prefix string, f func(storage.Entry) error,
) (uint64, error) {
	m.mu.RLock()
	if err := m.usable(ctx); err != nil {
		m.mu.RUnlock()
		return 0, err
	}
	now := time.Now().UnixMilli()
	var entries []storage.Entry
	for key, it := range m.buckets[bucket] {
		if strings.HasPrefix(key, prefix) && !expired(it.expires, now) {
			entries = append(entries, entry(key, it.value, it.revision, it.expires))
		}
	}
	revision := m.revision
	m.mu.RUnlock()

	slices.SortFunc(entries, func(a, b storage.Entry) int { return strings.Compare(a.Key, b.Key) })
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if err := f(e); err != nil {
			return 0, err
		}
	}
	return revision, nil
}

// Write implements Engine.
func (m *Memory) Write(ctx context.Context, b storage.Batch) ([]uint64, error) {
	for i := range b.Changes {
		if err := b.Changes[i].Validate(); err != nil {
			return nil, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx); err != nil {
		return nil, err
	}
	return m.write(b.Changes)
}

// write makes the changes, all or none. The caller holds the lock.
func (m *Memory) write(changes []storage.Change) ([]uint64, error) {
	now := time.Now().UnixMilli()
	// A change may expect what another one of the same batch makes, so they are made one after the
	// other, and undone when one is refused.
	type undo struct {
		bucket, key string
		before      memoryItem
		had         bool
	}
	var done []undo
	revision := m.revision
	revisions := make([]uint64, len(changes))
	events := make([]logEvent, 0, len(changes))
	for i := range changes {
		c := &changes[i]
		items := m.buckets[c.Bucket]
		old, had := items[c.Key]
		current := old.revision
		if expired(old.expires, now) {
			current = 0
		}
		if err := c.Admit(current); err != nil {
			for _, u := range slices.Backward(done) {
				if delete(m.buckets[u.bucket], u.key); u.had {
					m.buckets[u.bucket][u.key] = u.before
				}
			}
			return nil, err
		}
		if c.Value == nil && !had {
			continue
		}
		done = append(done, undo{c.Bucket, c.Key, old, had})
		revision++
		revisions[i] = revision
		if c.Value == nil {
			delete(items, c.Key)
		} else {
			if items == nil {
				items = make(map[string]memoryItem)
				m.buckets[c.Bucket] = items
			}
			value := append(make([]byte, 0, len(c.Value)), c.Value...)
			items[c.Key] = memoryItem{value, revision, millis(c.Expires)}
		}
		events = append(events, logEvent{c.Bucket, c.Key, revision, c.Value == nil})
	}
	m.revision = revision
	m.log.append(events)
	return revisions, nil
}

// Watch implements Engine.
func (m *Memory) Watch(
	ctx context.Context, bucket string, after uint64, f func(storage.Event) error,
) error {
	return m.log.watch(ctx, bucket, after, f, m.Get)
}

// sweep deletes what has expired.
func (m *Memory) sweep() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	now := time.Now().UnixMilli()
	var changes []storage.Change
	for bucket, items := range m.buckets {
		for key, it := range items {
			if expired(it.expires, now) {
				changes = append(changes, storage.Change{Bucket: bucket, Key: key})
			}
		}
	}
	_, _ = m.write(changes) // changes that expect nothing are not refused
}

// Close implements Engine.
func (m *Memory) Close() error {
	m.sweeper.Close()
	m.mu.Lock()
	m.closed = true
	m.buckets = nil
	m.mu.Unlock()
	m.log.close()
	return nil
}

// Interface guard
var _ storage.Engine = (*Memory)(nil)
