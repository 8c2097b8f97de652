package store

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/storage"
)

const (
	// behindDelay is how long a change may wait for others to be written with it.
	behindDelay = 200 * time.Millisecond
	// behindRetry is how long to wait after an error.
	behindRetry = time.Second
	// behindClose is how long the end may take. What is not written then is lost, until phones renew their registrations.
	behindClose = 30 * time.Second

	// What is written in one batch.
	batchChanges = 4096
	batchBytes   = 4 << 20

	// A million phones that all register anew while the disk is away: over that many keys, or bytes of keys, everything is written again once it is back.
	behindShards = 16
	behindKeys   = 1 << 18 / behindShards // of one shard
	behindBytes  = 16 << 20 / behindShards

	errorInterval = time.Minute // between two log lines that say the same
)

// Source is what a WriteBehind writes.
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

// WriteBehind writes to an engine what changes in memory: shortly after it has changed, many changes at a time, a key that changes often only
// now and then. Nobody waits for it. When the engine refuses, it goes on trying; it remembers which keys have changed, not what they were.
type WriteBehind struct {
	source Source
	seed   maphash.Seed
	shards [behindShards]behindShard

	on      atomic.Bool // there is an engine
	pending atomic.Bool // the writer has been woken up
	all     atomic.Bool // everything is to be written
	wake    chan struct{}

	mu     sync.Mutex
	writer *writer // nil when there is no engine

	logging sync.Mutex
	logged  time.Time
}

type behindShard struct {
	mu    sync.Mutex
	keys  map[string]struct{}
	bytes int      // of keys
	_     [40]byte // to its own cache line
}

// NewWriteBehind returns a WriteBehind that writes nowhere yet. It must be closed when it writes somewhere.
func NewWriteBehind(source Source) *WriteBehind {
	return &WriteBehind{source: source, seed: maphash.MakeSeed(), wake: make(chan struct{}, 1)}
}

// Mark says that a key has changed. It is for the path of packets.
func (b *WriteBehind) Mark(key string) {
	if b.on.Load() {
		b.mark(key)
	}
}

func (b *WriteBehind) mark(key string) {
	s := &b.shards[maphash.String(b.seed, key)%behindShards]
	s.mu.Lock()
	if len(s.keys) < behindKeys && s.bytes < behindBytes {
		if s.keys == nil {
			s.keys = make(map[string]struct{})
		}
		n := len(s.keys)
		if s.keys[key] = struct{}{}; len(s.keys) > n {
			s.bytes += len(key)
		}
		s.mu.Unlock()
	} else {
		s.mu.Unlock()
		b.all.Store(true)
	}
	if !b.pending.Load() {
		b.awake()
	}
}

// marked returns how many keys wait to be written.
func (b *WriteBehind) marked() (n int) {
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		n += len(s.keys)
		s.mu.Unlock()
	}
	return n
}

func (b *WriteBehind) awake() {
	b.pending.Store(true)
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// Use makes e what is written to from now on, after what is pending has been written to the engine before it; nil: nothing is written. same says that
// e has everything already; otherwise it gets everything, and what it has beside that is deleted. What the engine before doesn't take within 30 seconds
// is reported and not written there.
func (b *WriteBehind) SwitchTo(e storage.Engine, same bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.writer == nil && e == nil || b.writer != nil && e == b.writer.engine {
		return
	}
	b.on.Store(e != nil) // what changes from here on is for e
	if b.writer != nil {
		b.writer.finish()
		b.writer = nil
	}
	b.all.Store(e != nil && !same)
	if e != nil {
		b.writer = newWriter(b, e)
		b.awake()
	}
}

// Close writes what is pending.
func (b *WriteBehind) Close() { b.SwitchTo(nil, true) }

// failed reports an error; of many of them it logs only some.
func (b *WriteBehind) failed(message string, err error) {
	b.source.Failed()
	b.logging.Lock()
	defer b.logging.Unlock()
	if now := time.Now(); now.Sub(b.logged) >= errorInterval {
		b.logged = now
		b.source.Logger().Error(message, zap.String("bucket", b.source.Bucket), zap.Error(err))
	}
}
