package store

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/caddysip/caddysip/storage"
)

// missing returns what the one line that tells of a loss says, and the error in it; -1 when nothing
// is said.
func (t *table) missing(test *testing.T) (n int64, err string) {
	test.Helper()
	n = -1
	for _, e := range t.logs.All() {
		m := e.ContextMap()
		v, ok := m["missing"].(int64)
		if !ok {
			continue
		}
		if n >= 0 || e.Level != zapcore.ErrorLevel || m["bucket"] != "things" {
			test.Errorf("logged %+v after %d were said to be missing", e, n)
		}
		n, err = v, fmt.Sprint(m["error"])
	}
	return n, err
}

// slow is an engine that takes its time for each batch, whatever its caller says.
type slow struct {
	*Memory
	time.Duration
}

func (s slow) Write(ctx context.Context, b storage.Batch) ([]uint64, error) {
	time.Sleep(s.Duration)
	return s.Memory.Write(context.WithoutCancel(ctx), b)
}

// TestBehindEndIsBounded: however long an engine takes, the end does not, and says how much is not
// written.
func TestBehindEndIsBounded(t *testing.T) {
	const keys = 10*batchChanges + 5
	for _, test := range []struct {
		each   time.Duration
		ends   time.Duration
		lost   int64
		stored int64 // with the write that the end does not wait for
	}{
		{time.Second, 11 * time.Second, -1, keys},
		{9 * time.Second, 31 * time.Second, keys - 3*batchChanges, 4 * batchChanges},
		{time.Minute, 31 * time.Second, keys, batchChanges},
	} {
		t.Run(test.each.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tab := newTable()
				for i := range keys {
					tab.values[fmt.Sprintf("%06d", i)] = "1"
				}
				e := slow{NewMemory(), test.each}
				b := NewWriteBehind(tab.source())
				b.SwitchTo(e, true)
				for key := range tab.values {
					b.Mark(key)
				}
				start := time.Now()
				b.Close()
				if took := time.Since(start); took != test.ends {
					t.Errorf("it took %v, want %v", took, test.ends)
				}
				if n, err := tab.missing(t); n != test.lost {
					t.Errorf("%d are said to be missing (%s), want %d", n, err, test.lost)
				}
				pass(2 * time.Minute)
				if n, _ := tab.missing(t); n != test.lost {
					t.Errorf("later %d are said to be missing", n)
				}
				if stored := int64(len(e.buckets["things"])); stored != test.stored {
					t.Errorf("%d are stored, want %d", stored, test.stored)
				}
				e.Close()
			})
		})
	}
}

// TestBehindSlowEngine: writing takes a tenth of the time, whatever changes meanwhile, but nothing
// waits for longer than half a second.
func TestBehindSlowEngine(t *testing.T) {
	for _, test := range []struct{ each, between time.Duration }{
		{time.Millisecond, behindDelay},
		{50 * time.Millisecond, 450 * time.Millisecond},
		{200 * time.Millisecond, 500 * time.Millisecond},
	} {
		t.Run(test.each.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tab := newTable()
				e := slow{NewMemory(), test.each}
				defer e.Close()
				b := NewWriteBehind(tab.source())
				defer b.Close()
				b.SwitchTo(e, true)
				const rounds = 20
				until := time.Now().Add(behindDelay + rounds*(test.each+test.between))
				for time.Now().Before(until) {
					tab.set(b, "key", time.Now().String())
					time.Sleep(time.Millisecond)
				}
				if en, err := e.Get(t.Context(), "things", "key"); err != nil || en.Revision < rounds-1 || en.Revision > rounds+1 {
					t.Errorf("%d were written, %v, want %d", en.Revision, err, rounds)
				}
			})
		})
	}
}

// TestBehindEndInTheMiddle: what the writer is at when the end comes is not forgotten.
func TestBehindEndInTheMiddle(t *testing.T) {
	const keys = 10*batchChanges + 5
	synctest.Test(t, func(t *testing.T) {
		tab := newTable()
		e := slow{NewMemory(), time.Second}
		defer e.Close()
		b := NewWriteBehind(tab.source())
		b.SwitchTo(e, true)
		for i := range keys {
			tab.set(b, fmt.Sprintf("%06d", i), "1")
		}
		pass(behindDelay + 5*time.Second/2)
		tab.set(b, "000000", "2") // which is written already
		b.Close()
		if n := len(e.buckets["things"]); n != keys {
			t.Errorf("%d are stored, want %d", n, keys)
		}
		if en, err := e.Get(t.Context(), "things", "000000"); err != nil || string(en.Value) != "2" {
			t.Errorf("%q, %v", en.Value, err)
		}
		if n, err := tab.missing(t); n != -1 {
			t.Errorf("%d are said to be missing: %s", n, err)
		}
	})
}

// TestBehindEndSaysWhatIsMissing has an engine that refuses.
func TestBehindEndSaysWhatIsMissing(t *testing.T) {
	for _, all := range []bool{false, true} {
		t.Run(fmt.Sprint(all), func(t *testing.T) {
			behind(t, func(t *testing.T, b *WriteBehind, tab *table, e *faulty) {
				e.set(errors.New("no space left on device"), nil)
				for i := range 7 {
					tab.set(b, fmt.Sprint(i), "1")
				}
				b.all.Store(all)
				pass(time.Minute)
				tab.set(b, "7", "1")
				failures := tab.failures
				b.Close()
				if n, err := tab.missing(t); n != 8 || err != "no space left on device" {
					t.Errorf("%d are said to be missing: %s", n, err)
				}
				if tab.failures != failures+1 {
					t.Errorf("%d errors were counted at the end", tab.failures-failures)
				}
			})
		})
	}
}

// TestBehindLeavesAnEngineThatHangs: another takes its place, and gets everything, whatever the
// first does later.
func TestBehindLeavesAnEngineThatHangs(t *testing.T) {
	behind(t, func(t *testing.T, b *WriteBehind, tab *table, e *faulty) {
		hold := make(chan struct{})
		e.set(nil, hold)
		tab.set(b, "a", "1")
		pass(time.Minute)
		tab.set(b, "b", "1")
		other := newFaulty(t)
		start := time.Now()
		b.SwitchTo(other, false)
		if took := time.Since(start); took > behindClose+behindRetry {
			t.Errorf("it took %v", took)
		}
		if n, err := tab.missing(t); n != 2 || err != "the storage did not answer within 30s" {
			t.Errorf("%d are said to be missing: %s", n, err)
		}
		pass(behindDelay)
		wantStored(t, other, "a=1 b=1")
		tab.set(b, "c", "1")
		e.set(nil, nil)
		close(hold)
		pass(behindDelay)
		wantStored(t, other, "a=1 b=1 c=1")
		tab.set(b, "d", "1")
		pass(behindDelay)
		wantStored(t, other, "a=1 b=1 c=1 d=1")
		wantStored(t, e, "")
	})
}
