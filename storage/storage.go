package storage

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Limits of what an engine takes.
const (
	MaxKey    = 1024    // bytes of a key
	MaxValue  = 1 << 20 // bytes of a value
	MaxBucket = 64      // bytes of a bucket's name
)

// Absent is the Change.Expect of a change that is made only if the key has no value.
const Absent = ^uint64(0)

// Errors of an Engine; they come wrapped, with the bucket and the key they are about.
var (
	// ErrNotFound: the key has no value, or it has expired.
	ErrNotFound = errors.New("no such key")
	// ErrConflict: the key has another revision than the change expects. Nothing was written.
	ErrConflict = errors.New("it was changed meanwhile: read it again")
	// ErrGone: the changes since that revision are not known any more: it is too old, the watcher
	// is too slow, or the revision is of another store. Whoever watches starts anew: Range, and
	// Watch from the revision it returns.
	ErrGone = errors.New("the changes since that revision are not known: range, and watch from there")
	// ErrInvalid: a bucket, key or value is empty or too large. Trying again does not help.
	ErrInvalid = errors.New("not to be stored")
	// ErrClosed: the engine is closed.
	ErrClosed = errors.New("the storage is closed")
)

// Storage is a configured storage, whose engine can be opened.
type Storage interface {
	// Identity names the place where things are kept, the same for the same place in every
	// configuration: an engine that is open stays open over a reload when the identity stays. The
	// name of the kind comes first: "bolt:/var/lib/caddy/sip/sip.db".
	Identity() string
	// Open opens the engine. It is called only while no other engine of the same identity is open
	// in this process. The engine must keep nothing of the configuration that opened it, such as
	// its context or its loggers: it lives on when that is gone.
	Open(ctx context.Context) (Engine, error)
}

// Engine is an open storage. It is safe for concurrent use. A method that may block returns when
// ctx ends, as soon as it can without leaving something half done. What has expired is never
// returned: it is as if it had been deleted.
type Engine interface {
	// Get returns the value of a key, or ErrNotFound. The value is the caller's.
	Get(ctx context.Context, bucket, key string) (Entry, error)

	// Range calls f with every key of the bucket that starts with prefix, in the order of the keys'
	// bytes, until f returns an error, which Range returns. All is as it was at one revision, which
	// is returned as well: Watch from there misses nothing. f must not keep the value, nor use the
	// engine.
	Range(ctx context.Context, bucket, prefix string, f func(Entry) error) (revision uint64, err error)

	// Write makes all changes of the batch, or none of them when it returns an error. It keeps
	// nothing of the batch. Each change gets a revision of its own, higher than any before in this
	// store, in the order of the batch; 0 is returned for the deletion of what wasn't there.
	Write(ctx context.Context, b Batch) (revisions []uint64, err error)

	// Watch calls f with each change in the bucket that has a higher revision than after, in their
	// order, and then with those to come, until ctx ends (and returns its error), until f returns
	// an error (and returns that), until the engine is closed (ErrClosed), or until it cannot go on
	// without a gap (ErrGone). A change of a key may be left out when it has changed again: what f
	// sees last is how it is. What has expired is deleted at some time, and the deletion is seen
	// then. Nothing is missed between two watches when the second starts after the last revision
	// that the first has seen. f must not keep the value. f may use the engine.
	Watch(ctx context.Context, bucket string, after uint64, f func(Event) error) error

	// Close writes what is not written yet and closes the engine. Watchers end.
	Close() error
}

// Entry is a key and what is stored under it.
type Entry struct {
	Key      string
	Value    []byte
	Revision uint64    // of the change that set the value
	Expires  time.Time // the zero time: never
}

// Event is a change that a watcher sees.
type Event struct {
	Entry        // of a deletion, Key and Revision alone
	Deleted bool // the key has no value any more
}

// Change sets or deletes a key.
type Change struct {
	Bucket, Key string

	// Value is what to store; nil deletes the key. An empty slice that is not nil is a value.
	Value []byte

	// Expires is when the value goes by itself; the zero time: never. An engine may let it live up
	// to a second longer.
	Expires time.Time

	// Expect is the revision that the key must have, or else the whole batch is refused with
	// ErrConflict. 0: any, or none; Absent: it must have no value.
	Expect uint64
}

// Batch is a number of changes that are made together.
type Batch struct {
	Changes []Change

	// Sync says that Write returns only when the changes survive the power going off. Without it an
	// engine may take up to a second for that.
	Sync bool
}

// Validate refuses a change that no engine takes: the error is ErrInvalid, and says what is wrong
// with it.
func (c *Change) Validate() error {
	switch {
	case c.Bucket == "" || len(c.Bucket) > MaxBucket:
		return fmt.Errorf("bucket %.80q has %d bytes, 1 to %d are possible: %w", c.Bucket, len(c.Bucket), MaxBucket, ErrInvalid)
	case c.Key == "" || len(c.Key) > MaxKey:
		return fmt.Errorf("key %.80q in %s has %d bytes, 1 to %d are possible: %w", c.Key, c.Bucket, len(c.Key), MaxKey, ErrInvalid)
	case len(c.Value) > MaxValue:
		return fmt.Errorf("the value of %q in %s has %d bytes, %d are possible: %w", c.Key, c.Bucket, len(c.Value), MaxValue, ErrInvalid)
	}
	return nil
}

// Admit returns nil if the change may be made to a key that has a revision, 0 if it has no value.
// Otherwise the error is ErrConflict, and says what was expected.
func (c *Change) Admit(revision uint64) error {
	if c.Expect == 0 || c.Expect == revision || c.Expect == Absent && revision == 0 {
		return nil
	}
	return conflict(c, revision)
}

func conflict(c *Change, revision uint64) error {
	expected := fmt.Sprintf("revision %d", c.Expect)
	if c.Expect == Absent {
		expected = "no value"
	}
	found := fmt.Sprintf("revision %d", revision)
	if revision == 0 {
		found = "no value"
	}
	return fmt.Errorf("%q in %s has %s, expected was %s: %w", c.Key, c.Bucket, found, expected, ErrConflict)
}
