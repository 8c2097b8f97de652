package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddysip/caddysip/storage"
)

// table is what a WriteBehind writes in these tests.
type table struct {
	mu       sync.Mutex
	values   map[string]string
	expires  time.Time
	failures int
	logger   *zap.Logger
	logs     *observer.ObservedLogs
}

func newTable() *table {
	core, logs := observer.New(zap.DebugLevel)
	return &table{values: map[string]string{}, logger: zap.New(core), logs: logs}
}

func (t *table) source() Source {
	return Source{
		Bucket: "things",
		Append: func(dst []byte, key string) ([]byte, time.Time) {
			t.mu.Lock()
			defer t.mu.Unlock()
			return append(dst, t.values[key]...), t.expires
		},
		Keys: func(f func(string)) {
			t.mu.Lock()
			defer t.mu.Unlock()
			for key := range t.values {
				f(key)
			}
		},
		Written: func() {},
		Logger:  func() *zap.Logger { return t.logger },
		Failed: func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.failures++
		},
	}
}

// set changes the table and says so.
func (t *table) set(b *WriteBehind, key, value string) {
	t.mu.Lock()
	t.values[key] = value
	if value == "" {
		delete(t.values, key)
	}
	t.mu.Unlock()
	b.Mark(key)
}

// faulty is an engine whose writes can be made to fail or to take long.
type faulty struct {
	*Memory
	mu      sync.Mutex
	err     error
	hold    chan struct{}
	batches [][]string
}

func (f *faulty) Write(ctx context.Context, b storage.Batch) ([]uint64, error) {
	f.mu.Lock()
	err, hold := f.err, f.hold
	var keys []string
	for _, c := range b.Changes {
		keys = append(keys, c.Key)
	}
	f.batches = append(f.batches, keys)
	f.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if err != nil {
		return nil, err
	}
	return f.Memory.Write(ctx, b)
}

func (f *faulty) set(err error, hold chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err, f.hold, f.batches = err, hold, nil
}

// wrote returns the keys of each batch since the last set or wrote.
func (f *faulty) wrote() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var text []string
	for _, keys := range f.batches {
		text = append(text, strings.Join(keys, " "))
	}
	f.batches = nil
	return strings.Join(text, "|")
}

func newFaulty(t *testing.T) *faulty {
	f := &faulty{Memory: NewMemory()}
	t.Cleanup(func() { f.Close() })
	return f
}

// behind runs f in virtual time with a WriteBehind that writes to an engine.
func behind(t *testing.T, f func(t *testing.T, b *WriteBehind, tab *table, e *faulty)) {
	synctest.Test(t, func(t *testing.T) {
		tab, e := newTable(), newFaulty(t)
		b := NewWriteBehind(tab.source())
		t.Cleanup(b.Close)
		b.SwitchTo(e, true)
		f(t, b, tab, e)
	})
}

func wantStored(t *testing.T, e storage.Engine, want string) {
	t.Helper()
	var got []string
	if _, err := e.Range(context.Background(), "things", "", func(en storage.Entry) error {
		got = append(got, en.Key+"="+string(en.Value))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(got, " "); text != want {
		t.Fatalf("stored is %q, want %q", text, want)
	}
}

func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestBehindWritesSoonAndTogether(t *testing.T) {
	behind(t, func(t *testing.T, b *WriteBehind, tab *table, e *faulty) {
		pass(time.Hour)
		if got := e.wrote(); got != "" {
			t.Fatalf("wrote %q, and nothing has changed", got)
		}
		tab.expires = time.Now().Add(time.Hour)
		for i := range 100 {
			tab.set(b, "a", fmt.Sprint(i))
			tab.set(b, "b", fmt.Sprint(i))
		}
		synctest.Wait()
		wantStored(t, e, "")
		pass(behindDelay)
		wantStored(t, e, "a=99 b=99")
		if got := e.wrote(); got != "a b" {
			t.Fatalf("wrote %q", got)
		}
		if en, _ := e.Get(context.Background(), "things", "a"); !en.Expires.Equal(tab.expires) {
			t.Fatalf("expires at %v, want %v", en.Expires, tab.expires)
		}

		// What changes while it is on its way is written as it is then.
		tab.set(b, "a", "old")
		pass(behindDelay / 2)
		tab.set(b, "a", "new")
		tab.set(b, "b", "")
		pass(behindDelay / 2)
		wantStored(t, e, "a=new")
		if got := e.wrote(); got != "a b" {
			t.Fatalf("wrote %q", got)
		}
		pass(time.Hour)
		if got := e.wrote(); got != "" {
			t.Fatalf("wrote %q again", got)
		}
	})
}

func TestBehindNobodyWaits(t *testing.T) {
	behind(t, func(t *testing.T, b *WriteBehind, tab *table, e *faulty) {
		hold := make(chan struct{})
		e.set(nil, hold)
		tab.set(b, "a", "1")
		pass(time.Minute) // the disk takes that long
		for i := range 1000 {
			tab.set(b, "a", fmt.Sprint(i)) // would never return
		}
		wantStored(t, e, "")
		close(hold)
		pass(behindLongest)
		wantStored(t, e, "a=999")
	})
}

func TestBehindGoesOnTrying(t *testing.T) {
	behind(t, func(t *testing.T, b *WriteBehind, tab *table, e *faulty) {
		e.set(errors.New("no space left on device"), nil)
		tab.set(b, "a", "1")
		tab.set(b, "b", "1")
		pass(10 * time.Minute)
		tries := strings.Count(e.wrote(), "a b")
		if tries < 500 || tries > 601 {
			t.Fatalf("tried %d times in ten minutes", tries)
		}
		if tab.failures != tries {
			t.Fatalf("%d errors counted, %d happened", tab.failures, tries)
		}
		if n := tab.logs.Len(); n < 9 || n > 11 {
			t.Fatalf("%d lines logged in ten minutes", n)
		}
		if entry := tab.logs.All()[0]; entry.Level != zap.ErrorLevel || entry.ContextMap()["error"] != "no space left on device" {
			t.Fatalf("logged %+v", entry)
		}
		tab.set(b, "b", "2")
		tab.set(b, "c", "2")
		e.set(nil, nil)
		pass(behindRetry + behindDelay)
		wantStored(t, e, "a=1 b=2 c=2")
	})
}

func TestBehindCloseWrites(t *testing.T) {
	behind(t, func(t *testing.T, b *WriteBehind, tab *table, e *faulty) {
		tab.set(b, "a", "1")
		b.Close()
		wantStored(t, e, "a=1")
		b.Close()
		tab.set(b, "b", "1")
		pass(time.Minute)
		wantStored(t, e, "a=1")
	})
}

func TestBehindAnotherEngine(t *testing.T) {
	behind(t, func(t *testing.T, b *WriteBehind, tab *table, e *faulty) {
		for i := range 3 {
			tab.set(b, fmt.Sprint("k", i), "1")
		}
		pass(time.Second)
		tab.set(b, "k0", "2")
		e.wrote()
		other := newFaulty(t)
		if _, err := other.Memory.Write(t.Context(), storage.Batch{Changes: []storage.Change{
			{Bucket: "things", Key: "gone", Value: []byte("x")},
			{Bucket: "things", Key: "k2", Value: []byte("x")},
		}}); err != nil {
			t.Fatal(err)
		}
		b.SwitchTo(e, false) // is that already
		b.SwitchTo(other, false)
		wantStored(t, e, "k0=2 k1=1 k2=1") // the one before has got everything
		pass(behindDelay)
		wantStored(t, other, "k0=2 k1=1 k2=1")
		tab.set(b, "k0", "3")
		pass(behindDelay)
		wantStored(t, other, "k0=3 k1=1 k2=1")
		wantStored(t, e, "k0=2 k1=1 k2=1")

		// An engine that has everything is not written to.
		b.SwitchTo(nil, false)
		tab.set(b, "k0", "4")
		e.wrote()
		b.SwitchTo(e, true)
		pass(time.Second)
		if got := e.wrote(); got != "" {
			t.Fatalf("wrote %q", got)
		}
		// One that fails meanwhile gets everything in the end.
		other.set(errors.New("away"), nil)
		b.SwitchTo(other, false)
		pass(time.Minute)
		wantStored(t, other, "k0=3 k1=1 k2=1")
		other.set(nil, nil)
		pass(behindRetry + behindDelay)
		wantStored(t, other, "k0=4 k1=1 k2=1")
	})
}

func TestBehindTooMuchToRemember(t *testing.T) {
	behind(t, func(t *testing.T, b *WriteBehind, tab *table, e *faulty) {
		tab.values = map[string]string{"a": "1", "b": "1"}
		hold := make(chan struct{})
		e.set(nil, hold)
		b.Mark("a")
		pass(time.Second)
		tab.set(b, "a", "")
		for i := range behindShards * behindKeys * 2 {
			b.Mark(fmt.Sprint(i))
		}
		if n := b.marked(); n > behindShards*behindKeys {
			t.Fatalf("remembers %d keys", n)
		}
		close(hold)
		e.set(nil, nil)
		pass(time.Second)
		wantStored(t, e, "b=1") // which was never marked
	})
}

// TestBehindRemembersFewBytes has the keys that wait be long ones, while the disk is away.
func TestBehindRemembersFewBytes(t *testing.T) {
	behind(t, func(t *testing.T, b *WriteBehind, tab *table, e *faulty) {
		e.set(errors.New("away"), nil)
		const n = 20_000
		for i := range n {
			tab.set(b, fmt.Sprintf("%0*d", storage.MaxKey, i), "x")
		}
		bytes := 0
		for i := range b.shards {
			b.shards[i].mu.Lock()
			for key := range b.shards[i].keys {
				bytes += len(key)
			}
			b.shards[i].mu.Unlock()
		}
		if limit := behindShards * (behindBytes + storage.MaxKey); bytes > limit {
			t.Errorf("%d bytes of keys are waiting, over %d", bytes, limit)
		}
		e.set(nil, nil)
		pass(time.Minute)
		stored := 0
		if _, err := e.Range(t.Context(), "things", "", func(storage.Entry) error { stored++; return nil }); err != nil || stored != n {
			t.Errorf("%d are stored, want %d: %v", stored, n, err)
		}
	})
}

func TestBehindPassesOverWhatCannotBeStored(t *testing.T) {
	behind(t, func(t *testing.T, b *WriteBehind, tab *table, e *faulty) {
		tab.set(b, strings.Repeat("k", storage.MaxKey+1), "1")
		tab.set(b, "large", strings.Repeat("v", storage.MaxValue+1))
		tab.set(b, "", "1")
		tab.set(b, "z", "1")
		pass(behindDelay)
		wantStored(t, e, "z=1")
		if tab.failures != 3 || tab.logs.Len() != 1 {
			t.Fatalf("%d errors, %d logged", tab.failures, tab.logs.Len())
		}
		pass(time.Minute)
		if tab.failures != 3 {
			t.Fatal("it tries again")
		}
	})
}

func TestBehindWritesLargeAmountsInParts(t *testing.T) {
	behind(t, func(t *testing.T, b *WriteBehind, tab *table, e *faulty) {
		for i := range 2*batchChanges + 1 {
			tab.set(b, fmt.Sprintf("%05d", i), "1")
		}
		pass(behindDelay)
		if got := len(e.batches); got != 3 {
			t.Fatalf("wrote %d batches", got)
		}
		e.set(nil, nil)
		for i := range 10 {
			tab.set(b, fmt.Sprint(i), strings.Repeat("v", storage.MaxValue))
		}
		pass(behindDelay)
		for _, keys := range e.batches {
			if len(keys) > batchBytes/storage.MaxValue {
				t.Fatalf("one batch has %d values of %d bytes", len(keys), storage.MaxValue)
			}
		}
		if n := cap(b.writer.data); n > batchBytes+storage.MaxValue {
			t.Fatalf("keeps %d bytes", n)
		}
	})
}

func TestBehindConcurrently(t *testing.T) {
	tab, e := newTable(), NewMemory()
	defer e.Close()
	b := NewWriteBehind(tab.source())
	b.SwitchTo(e, true)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 5000 {
				tab.set(b, fmt.Sprintf("%d/%d", g, i%100), fmt.Sprint(i))
			}
		})
	}
	wg.Wait()
	b.Close()
	n := 0
	if _, err := e.Range(t.Context(), "things", "", func(en storage.Entry) error {
		if n++; string(en.Value) != tab.values[en.Key] {
			return fmt.Errorf("%s has %s, want %s", en.Key, en.Value, tab.values[en.Key])
		}
		return nil
	}); err != nil || n != 400 {
		t.Fatalf("%d stored, %v", n, err)
	}
}

func TestMarkAllocates(t *testing.T) {
	tab, e := newTable(), NewMemory()
	defer e.Close()
	b := NewWriteBehind(tab.source())
	defer b.Close()
	b.SwitchTo(e, true)
	b.Mark("a")
	if n := testing.AllocsPerRun(100, func() { b.Mark("a") }); n != 0 {
		t.Errorf("Mark makes %.0f allocations", n)
	}
}
