package storage

import (
	"context"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

const (
	// behindDelay is how long a change may wait for others to be written with it.
	behindDelay = 200 * time.Millisecond
	// behindRetry is how long to wait after an error.
	behindRetry = time.Second
	// behindClose is how long closing may take. What is not written then is lost, until phones renew their registrations.
	behindClose = 30 * time.Second

	// What is written in one batch.
	batchChanges = 4096
	batchBytes   = 4 << 20

	// A million phones that all register anew while the disk is away: over that many keys, everything is written again once it is back.
	behindShards = 16
	behindKeys   = 1 << 18 / behindShards // of one shard

	errorInterval = time.Minute // between two log lines that say the same
)

// Source is what a Behind writes.
type Source struct {
	Bucket string
	// Append appends the value of a key, as it is now, to dst and tells when it expires. Nothing appended means that there is none.
	Append func(dst []byte, key string) (_ []byte, expires time.Time)
	// Keys calls f with all keys that have a value.
	Keys func(f func(key string))
	// Written is called after each time that something was written, or could not be.
	Written func()
	// Logger returns where to report errors now.
	Logger func() *zap.Logger
	// Failed is called with each error.
	Failed func()
}

// Behind writes to an engine what changes in memory: shortly after it has changed, many changes at a time, a key that changes often only
// now and then. Nobody waits for it. When the engine refuses, it goes on trying; it remembers which keys have changed, not what they were.
type Behind struct {
	source Source
	seed   maphash.Seed
	shards [behindShards]behindShard

	on      atomic.Bool // there is an engine
	pending atomic.Bool // the writer has been woken up
	all     atomic.Bool // everything is to be written
	wake    chan struct{}
	stop    chan struct{}
	done    chan struct{}
	once    sync.Once

	mu     sync.Mutex // held while writing
	engine Engine
	logged time.Time

	// Memory that is used again.
	spare   [behindShards]map[string]struct{}
	keys    []string
	changes []Change
	data    []byte
}

type behindShard struct {
	mu   sync.Mutex
	keys map[string]struct{}
	_    [48]byte // to its own cache line
}

// NewBehind returns a Behind that writes nowhere yet. It must be closed.
func NewBehind(source Source) *Behind {
	b := &Behind{
		source: source,
		seed:   maphash.MakeSeed(),
		wake:   make(chan struct{}, 1),
		stop:   make(chan struct{}),
		done:   make(chan struct{}),
	}
	go b.run()
	return b
}

// Mark says that a key has changed. It is for the path of packets.
func (b *Behind) Mark(key string) {
	if !b.on.Load() {
		return
	}
	s := &b.shards[maphash.String(b.seed, key)%behindShards]
	s.mu.Lock()
	if len(s.keys) < behindKeys {
		if s.keys == nil {
			s.keys = make(map[string]struct{})
		}
		s.keys[key] = struct{}{}
		s.mu.Unlock()
	} else {
		s.mu.Unlock()
		b.all.Store(true)
	}
	if !b.pending.Load() {
		b.awake()
	}
}

func (b *Behind) awake() {
	b.pending.Store(true)
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// Use makes e what is written to from now on, after what is pending has been written to the engine before it; nil: nothing is written. same says that
// e has everything already; otherwise it gets everything, and what it has beside that is deleted.
func (b *Behind) Use(e Engine, same bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e == b.engine {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), behindClose)
	defer cancel()
	b.on.Store(e != nil) // what changes from here on is for e
	b.flush(ctx)
	b.engine = e
	b.all.Store(e != nil && !same)
	if e != nil {
		b.awake()
	}
}

// Close writes what is pending.
func (b *Behind) Close() {
	b.Use(nil, true)
	b.once.Do(func() { close(b.stop) })
	<-b.done
}

func (b *Behind) run() {
	defer close(b.done)
	for {
		select {
		case <-b.stop:
			return
		case <-b.wake:
		}
		if !b.wait(behindDelay) {
			return
		}
		b.mu.Lock()
		ok := b.flush(context.Background())
		b.mu.Unlock()
		if !ok && !b.wait(behindRetry-behindDelay) {
			return
		}
	}
}

func (b *Behind) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-b.stop:
		return false
	case <-timer.C:
		return true
	}
}

// flush writes what has changed. After an error what is not written yet is left for the next time. The caller holds the lock.
func (b *Behind) flush(ctx context.Context) (ok bool) {
	b.pending.Store(false)
	all := b.all.Swap(false)
	keys := b.take()
	if b.engine == nil {
		return true
	}
	defer b.source.Written()
	defer b.forget()
	var err error
	if all {
		err = b.rewrite(ctx)
	} else {
		slices.Sort(keys) // neighbours share pages on the disk
		keys, err = b.write(ctx, keys)
	}
	if err == nil {
		return true
	}
	b.failed("writing to the storage; trying again", err)
	if all {
		b.all.Store(true)
	}
	for _, key := range keys {
		b.Mark(key)
	}
	b.awake()
	return false
}

// take returns the keys that have changed, until it is called again.
func (b *Behind) take() []string {
	keys := b.keys[:0]
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		taken := s.keys
		s.keys, b.spare[i] = b.spare[i], nil
		s.mu.Unlock()
		for key := range taken {
			keys = append(keys, key)
		}
		// A map doesn't shrink: one that was large is not kept.
		if len(taken) < 1024 {
			clear(taken)
			b.spare[i] = taken
		}
	}
	b.keys = keys
	return keys
}

// write writes the keys as they are now. It returns those that are left after an error.
func (b *Behind) write(ctx context.Context, keys []string) (left []string, err error) {
	for len(keys) > 0 {
		n := 0
		changes, data := b.changes[:0], b.data[:0]
		for n < len(keys) && len(changes) < batchChanges && len(data) < batchBytes {
			key := keys[n]
			n++
			c := Change{Bucket: b.source.Bucket, Key: key}
			start := len(data)
			data, c.Expires = b.source.Append(data, key)
			if len(data) > start {
				c.Value = data[start:len(data):len(data)]
			}
			if err := c.check(); err != nil {
				b.failed("this is not kept", err)
				continue
			}
			changes = append(changes, c)
		}
		b.changes, b.data = changes, data
		if len(changes) > 0 {
			if _, err := b.engine.Write(ctx, Batch{Changes: changes}); err != nil {
				return keys, err
			}
		}
		keys = keys[n:]
	}
	return nil, nil
}

// forget lets go of what was written, but not of the memory unless it is much.
func (b *Behind) forget() {
	clear(b.changes)
	if cap(b.data) > batchBytes+MaxValue {
		b.data = nil
	}
	clear(b.keys)
	if cap(b.keys) > batchChanges {
		b.keys = nil
	}
}

// rewrite makes the engine have everything, and nothing else.
func (b *Behind) rewrite(ctx context.Context) error {
	keys := make(map[string]struct{})
	b.source.Keys(func(key string) { keys[key] = struct{}{} })
	// What has gone is looked up like the rest, and found to have no value.
	_, err := b.engine.Range(ctx, b.source.Bucket, "", func(e Entry) error {
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
	_, err = b.write(ctx, list)
	return err
}

// failed reports an error; of many of them it logs only some.
func (b *Behind) failed(message string, err error) {
	b.source.Failed()
	if now := time.Now(); now.Sub(b.logged) >= errorInterval {
		b.logged = now
		b.source.Logger().Error(message, zap.String("bucket", b.source.Bucket), zap.Error(err))
	}
}
