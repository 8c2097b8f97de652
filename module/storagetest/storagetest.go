package storagetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/storage"
)

// Suite is a storage to be tested.
type Suite struct {
	// New returns a provisioned storage with nothing in it, another one each time.
	New func(t *testing.T) storage.Storage

	// Durable says that the storage keeps what was written when it is closed and opened again.
	Durable bool

	// RealTime says that the engine has the time from elsewhere than package time, or waits for a
	// network: the tests then take some seconds. Otherwise they run in virtual time.
	RealTime bool
}

// Run runs all tests.
func Run(t *testing.T, s Suite) {
	for _, test := range []struct {
		name string
		f    func(*env)
	}{
		{"GetPutDelete", getPutDelete},
		{"Revisions", revisions},
		{"Conflicts", conflicts},
		{"BatchIsAllOrNothing", batchIsAllOrNothing},
		{"NothingOfABatchIsKept", nothingOfABatchIsKept},
		{"Range", ranges},
		{"RangeStops", rangeStops},
		{"Limits", limits},
		{"Expiry", expiry},
		{"ExpiryAndRevisions", expiryAndRevisions},
		{"ExpiryIsWatched", expiryIsWatched},
		{"Watch", watch},
		{"WatchResumes", watchResumes},
		{"WatchFromRange", watchFromRange},
		{"WatchTooOld", watchTooOld},
		{"WatchOfAnotherStore", watchOfAnotherStore},
		{"WatchTooSlow", watchTooSlow},
		{"WatchEnds", watchEnds},
		{"Contexts", contexts},
		{"Closed", closed},
		{"Reopen", reopen},
		{"Concurrent", concurrent},
	} {
		t.Run(test.name, func(t *testing.T) {
			if s.RealTime {
				test.f(newEnv(t, s))
				return
			}
			synctest.Test(t, func(t *testing.T) { test.f(newEnv(t, s)) })
		})
	}
}

// env is an open engine and what to do with it.
type env struct {
	*testing.T
	suite   Suite
	ctx     context.Context
	storage storage.Storage
	engine  storage.Engine

	written map[uint64]string // what write has written, by revision, as watcher.next tells it
	newest  map[string]uint64 // the last revision of each key
}

const bucket = "tests"

func newEnv(t *testing.T, s Suite) *env {
	e := &env{T: t, suite: s, ctx: context.Background(), storage: s.New(t), written: map[uint64]string{}, newest: map[string]uint64{}}
	if identity := e.storage.Identity(); identity == "" || e.storage.Identity() != identity {
		t.Fatal("a storage must have one identity")
	}
	e.open()
	t.Cleanup(func() {
		if err := e.engine.Close(); err != nil && !errors.Is(err, storage.ErrClosed) {
			t.Errorf("closing: %v", err)
		}
	})
	return e
}

func (e *env) open() {
	e.Helper()
	var err error
	if e.engine, err = e.storage.Open(e.ctx); err != nil {
		e.Fatalf("opening: %v", err)
	}
}

func (e *env) close() {
	e.Helper()
	if err := e.engine.Close(); err != nil {
		e.Fatalf("closing: %v", err)
	}
}

func (e *env) write(changes ...storage.Change) ([]uint64, error) {
	for i := range changes {
		if changes[i].Bucket == "" {
			changes[i].Bucket = bucket
		}
	}
	revisions, err := e.engine.Write(e.ctx, storage.Batch{Changes: changes, Sync: true})
	for i, r := range revisions {
		if r > 0 && changes[i].Bucket == bucket {
			e.written[r] = event(changes[i].Key, changes[i].Value, r)
			e.newest[changes[i].Key] = r
		}
	}
	return revisions, err
}

// event writes what happened to a key as "key=value@revision", or "-key@revision" for its deletion.
func event(key string, value []byte, revision uint64) string {
	if value == nil {
		return fmt.Sprintf("-%s@%d", key, revision)
	}
	return fmt.Sprintf("%s=%s@%d", key, value, revision)
}

// put sets a key and returns its revision.
func (e *env) put(key, value string) uint64 {
	e.Helper()
	return e.must(storage.Change{Key: key, Value: []byte(value)})
}

// must makes a change that is possible.
func (e *env) must(c storage.Change) uint64 {
	e.Helper()
	r, err := e.write(c)
	if err != nil {
		e.Fatalf("writing %q: %v", c.Key, err)
	}
	if len(r) != 1 {
		e.Fatalf("writing %q returned revisions %v", c.Key, r)
	}
	return r[0]
}

// refused makes a change that must be refused.
func (e *env) refused(c storage.Change, want error) {
	e.Helper()
	if r, err := e.write(c); !errors.Is(err, want) {
		e.Fatalf("writing %q with %d expected returned %v and the error %v, want %v", c.Key, c.Expect, r, err, want)
	}
}

// want checks what a key has; "" means nothing.
func (e *env) want(key, value string) storage.Entry {
	e.Helper()
	got, err := e.engine.Get(e.ctx, bucket, key)
	switch {
	case value == "" && !errors.Is(err, storage.ErrNotFound):
		e.Fatalf("%q has %q (error %v), want nothing", key, got.Value, err)
	case value != "" && (err != nil || string(got.Value) != value || got.Key != key):
		e.Fatalf("%q has %q as %q (error %v), want %q", key, got.Value, got.Key, err, value)
	}
	return got
}

// list returns "key=value " for all keys with a prefix, and the revision.
func (e *env) list(prefix string) (string, uint64) {
	e.Helper()
	text := ""
	r, err := e.engine.Range(e.ctx, bucket, prefix, func(en storage.Entry) error {
		text += en.Key + "=" + string(en.Value) + " "
		return nil
	})
	if err != nil {
		e.Fatalf("ranging over %q: %v", prefix, err)
	}
	return text, r
}

func (e *env) wantList(prefix, want string) {
	e.Helper()
	if got, _ := e.list(prefix); got != want {
		e.Fatalf("under %q is %q, want %q", prefix, got, want)
	}
}

// watcher is a watch on a goroutine of its own.
type watcher struct {
	e      *env
	events chan storage.Event
	ended  chan error
	cancel context.CancelFunc
}

// patience is how long a test waits for what must come.
const patience = time.Minute

func (e *env) watch(after uint64) *watcher {
	ctx, cancel := context.WithCancel(e.ctx)
	e.Cleanup(cancel)
	w := &watcher{e, make(chan storage.Event, 1000), make(chan error, 1), cancel}
	engine := e.engine
	go func() {
		w.ended <- engine.Watch(ctx, bucket, after, func(ev storage.Event) error {
			if ev.Value = append([]byte{}, ev.Value...); ev.Deleted {
				ev.Value = nil
			}
			w.events <- ev
			return nil
		})
	}()
	return w
}

// next returns the next event.
func (w *watcher) next() storage.Event {
	w.e.Helper()
	select {
	case ev := <-w.events:
		return ev
	case err := <-w.ended:
		w.e.Fatalf("the watch ended with %v", err)
	case <-time.After(patience):
		w.e.Fatal("no event comes")
	}
	return storage.Event{}
}

// want waits for the event of a revision. Events before it are those of keys that have changed
// again, or there are none.
func (w *watcher) want(revision uint64) {
	w.e.Helper()
	for {
		ev := w.next()
		got := event(ev.Key, ev.Value, ev.Revision)
		if got != w.e.written[ev.Revision] {
			w.e.Fatalf("watched %s, which was not written", got)
		}
		if ev.Revision == revision {
			return
		}
		if ev.Revision > revision || w.e.newest[ev.Key] == ev.Revision {
			w.e.Fatalf("watched %s, want %s", got, w.e.written[revision])
		}
	}
}

// wantEnd waits for the end of the watch.
func (w *watcher) wantEnd(want error) {
	w.e.Helper()
	select {
	case err := <-w.ended:
		if !errors.Is(err, want) {
			w.e.Fatalf("the watch ended with %v, want %v", err, want)
		}
	case <-time.After(patience):
		w.e.Fatal("the watch does not end")
	}
	if len(w.events) > 0 {
		w.e.Fatalf("watched %v, want nothing", w.next())
	}
}
