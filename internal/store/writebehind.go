package store

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/ratelog"
	"github.com/caddysip/caddysip/storage"
)

const (
	// behindDelay is how long a change waits for others to be written in the same batch.
	behindDelay = 200 * time.Millisecond
	// When writing takes long, because there is much of it or the disk is slow, the next changes
	// wait for so many times as long, up to behindLongest: then a key that changes often is written
	// less often.
	behindShare   = 9
	behindLongest = 500 * time.Millisecond
	// behindRetry is how long to wait after an error before trying again.
	behindRetry = time.Second
	// behindClose is how long writing what is pending may take at the end. What is not written by
	// then is lost until phones renew their registrations.
	behindClose = 30 * time.Second

	// Limits of one batch.
	batchChanges = 4096
	batchBytes   = 4 << 20

	// A million phones may all register anew while the disk is away. When more than so many keys,
	// or bytes of keys, are marked, everything is written again once it is back.
	behindShards = 16
	behindKeys   = 1 << 18 / behindShards  // of one shard
	behindBytes  = 16 << 20 / behindShards // of one shard

	errorInterval = time.Minute // between two log lines that say the same
)

// Source is the table in memory that a WriteBehind saves. Its functions are called without any lock
// of the WriteBehind held, and must be safe for concurrent use.
type Source struct {
	// After is how much longer it waits than others, so as not to write at the same moment.
	After time.Duration

	Bucket string
	// Append appends the current value of a key to dst, and returns when it expires (the zero time:
	// never). If it appends nothing, the key has no value and is deleted.
	Append func(dst []byte, key string) (_ []byte, expires time.Time)
	// Keys calls f with all keys that have a value.
	Keys func(f func(key string))
	// Written is called after every attempt to write, successful or not.
	Written func()
	// Logger returns the logger in force.
	Logger func() *zap.Logger
	// Failed is called with each error.
	Failed func()
}

// WriteBehind saves to an engine what changes in memory: shortly after the change, many changes in
// one batch, a key that changes often only now and then. Nobody waits for it. When the engine fails
// it keeps trying; it remembers which keys have changed, not their values.
type WriteBehind struct {
	source Source
	seed   maphash.Seed
	shards [behindShards]behindShard

	on      atomic.Bool // there is an engine
	pending atomic.Bool // the writer has been woken
	all     atomic.Bool // everything is to be written, not only the marked keys
	wake    chan struct{}

	mu     sync.Mutex
	writer *writer // nil when there is no engine

	errors ratelog.Gate // to the log
}

type behindShard struct {
	mu    sync.Mutex
	keys  map[string]struct{}
	bytes int      // total length of keys
	_     [40]byte // padding to a cache line
}

// NewWriteBehind returns a WriteBehind that writes nowhere yet. After SwitchTo it must be closed.
func NewWriteBehind(source Source) *WriteBehind {
	return &WriteBehind{
		source: source,
		seed:   maphash.MakeSeed(),
		wake:   make(chan struct{}, 1),
		errors: ratelog.Gate{Interval: errorInterval},
	}
}

// Mark records that a key has changed. It is cheap enough for the path of packets.
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
		b.wakeWriter()
	}
}

// MarkAll records that every value has changed.
func (b *WriteBehind) MarkAll() {
	if b.on.Load() {
		b.all.Store(true)
		b.wakeWriter()
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

// wakeWriter wakes the writer.
func (b *WriteBehind) wakeWriter() {
	b.pending.Store(true)
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// SwitchTo directs writing to e, after what is pending has been written to the engine in use
// before; nil turns writing off. same means that e already has everything; otherwise everything is
// written to it, and what it has besides is deleted. What the previous engine does not accept
// within 30 seconds is logged and lost to it.
func (b *WriteBehind) SwitchTo(e storage.Engine, same bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.writer == nil && e == nil || b.writer != nil && e == b.writer.engine {
		return
	}
	b.on.Store(e != nil) // from here on changes are for e
	if b.writer != nil {
		b.writer.finish()
		b.writer = nil
	}
	b.all.Store(e != nil && !same)
	if e != nil {
		b.writer = newWriter(b, e)
		b.wakeWriter()
	}
}

// Close writes what is pending, for 30 seconds at most.
func (b *WriteBehind) Close() { b.SwitchTo(nil, true) }

// failed counts an error and logs it, but at most one a minute.
func (b *WriteBehind) failed(message string, err error) {
	b.source.Failed()
	b.errors.Log(b.source.Logger(), zap.ErrorLevel, message,
		zap.String("bucket", b.source.Bucket), zap.Error(err))
}
