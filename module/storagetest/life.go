package storagetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/caddysip/caddysip/storage"
)

// pass lets time pass, a second more than asked for: an engine may be that late.
func (e *env) pass(d time.Duration) { time.Sleep(d + time.Second) }

func expiry(e *env) {
	soon, later := time.Now().Add(2*time.Second), time.Now().Add(6*time.Second)
	e.must(change{Key: "a", Value: []byte("1"), Expires: soon})
	e.must(change{Key: "b", Value: []byte("1"), Expires: later})
	e.must(change{Key: "c", Value: []byte("1"), Expires: soon})
	e.must(change{Key: "d", Value: []byte("1"), Expires: soon})
	if d := e.want("a", "1").Expires.Sub(soon); d < 0 || d > time.Second {
		e.Fatalf("the expiry is %v off", d)
	}
	e.must(change{Key: "c", Value: []byte("2"), Expires: later}) // renewed
	e.put("d", "2")                                              // for ever
	e.wantList("", "a=1 b=1 c=2 d=2 ")
	e.pass(2 * time.Second)
	e.want("a", "")
	e.wantList("", "b=1 c=2 d=2 ")
	e.pass(4 * time.Second)
	e.wantList("", "d=2 ")
}

func expiryAndRevisions(e *env) {
	r := e.must(change{Key: "a", Value: []byte("1"), Expires: time.Now().Add(time.Second)})
	e.pass(time.Second)
	e.refused(change{Key: "a", Value: []byte("2"), Expect: r}, storage.ErrConflict)
	e.refused(change{Key: "a", Expect: r}, storage.ErrConflict)
	if again := e.must(change{Key: "a", Value: []byte("2"), Expect: storage.Absent}); again <= r {
		e.Fatalf("revision %d comes after %d", again, r)
	}
	e.want("a", "2")
}

func expiryIsWatched(e *env) {
	start := e.put("z", "1")
	w := e.watch(start)
	first := e.must(change{Key: "a", Value: []byte("1"), Expires: time.Now().Add(time.Second)})
	w.want(first)
	if ev := w.next(); ev.Key != "a" || !ev.Deleted || ev.Revision <= first {
		e.Fatalf("watched %v, want the deletion", ev)
	}
	e.wantList("", "z=1 ")
	w.want(e.put("b", "1"))
}

func contexts(e *env) {
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	e.put("a", "1")
	if _, err := e.engine.Get(ctx, bucket, "a"); !errors.Is(err, context.Canceled) {
		e.Errorf("Get: %v", err)
	}
	if _, err := e.engine.Range(ctx, bucket, "", func(storage.Entry) error { return nil }); !errors.Is(err, context.Canceled) {
		e.Errorf("Range: %v", err)
	}
	if _, err := e.engine.Write(ctx, storage.Batch{Changes: []change{{Bucket: bucket, Key: "a", Value: []byte("2")}}}); !errors.Is(err, context.Canceled) {
		e.Errorf("Write: %v", err)
	}
	if err := e.engine.Watch(ctx, bucket, 0, func(storage.Event) error { return nil }); !errors.Is(err, context.Canceled) {
		e.Errorf("Watch: %v", err)
	}
	e.want("a", "1")
}

func closed(e *env) {
	e.put("a", "1")
	e.close()
	if _, err := e.engine.Get(e.ctx, bucket, "a"); !errors.Is(err, storage.ErrClosed) {
		e.Errorf("Get: %v", err)
	}
	if _, err := e.engine.Range(e.ctx, bucket, "", func(storage.Entry) error { return nil }); !errors.Is(err, storage.ErrClosed) {
		e.Errorf("Range: %v", err)
	}
	if _, err := e.write(change{Key: "a", Value: []byte("2")}); !errors.Is(err, storage.ErrClosed) {
		e.Errorf("Write: %v", err)
	}
	if err := e.engine.Watch(e.ctx, bucket, 0, func(storage.Event) error { return nil }); !errors.Is(err, storage.ErrClosed) {
		e.Errorf("Watch: %v", err)
	}
}

func reopen(e *env) {
	a := e.put("a", "1")
	e.must(change{Key: "soon", Value: []byte("1"), Expires: time.Now().Add(2 * time.Second)})
	b := e.must(change{Key: "b", Value: []byte("2"), Expires: time.Now().Add(time.Hour)})
	gone := e.put("c", "1")
	last := e.must(change{Key: "c"})
	if _, err := e.engine.Write(e.ctx, storage.Batch{Changes: []change{{Bucket: bucket, Key: "d", Value: []byte("not synced")}}}); err != nil {
		e.Fatal(err)
	}
	e.close()
	if !e.suite.Durable {
		e.open()
		e.wantList("", "")
		return
	}
	e.pass(2 * time.Second)
	e.open()
	e.wantList("", "a=1 b=2 d=not synced ")
	if got := e.want("a", "1"); got.Revision != a {
		e.Fatalf("a has revision %d, had %d", got.Revision, a)
	}
	if got := e.want("b", "2"); got.Revision != b || got.Expires.IsZero() {
		e.Fatalf("b has revision %d and expiry %v, had %d and one", got.Revision, got.Expires, b)
	}
	e.refused(change{Key: "c", Value: []byte("1"), Expect: gone}, storage.ErrConflict)
	if r := e.must(change{Key: "a", Value: []byte("2"), Expect: a}); r <= last {
		e.Fatalf("revision %d comes after %d", r, last)
	}
}

func concurrent(e *env) {
	const writers, rounds = 4, 50
	start := e.put("n", "0")
	engine := e.engine
	var wg sync.WaitGroup
	for g := range writers {
		wg.Go(func() {
			for i := range rounds {
				// Each adds one to the same number, again when another was faster.
				for {
					got, err := engine.Get(e.ctx, bucket, "n")
					if err != nil {
						e.Error(err)
						return
					}
					var n int
					_, _ = fmt.Sscan(string(got.Value), &n)
					_, err = engine.Write(e.ctx, storage.Batch{Changes: []change{
						{Bucket: bucket, Key: "n", Value: fmt.Append(nil, n+1), Expect: got.Revision},
						{Bucket: bucket, Key: fmt.Sprintf("%d/%d", g, i), Value: []byte("x")},
					}})
					if err == nil {
						break
					}
					if !errors.Is(err, storage.ErrConflict) {
						e.Error(err)
						return
					}
				}
				if _, err := engine.Range(e.ctx, bucket, fmt.Sprint(g), func(storage.Entry) error { return nil }); err != nil {
					e.Error(err)
					return
				}
			}
		})
	}
	wg.Go(func() {
		n := 0 // of the keys that are written once
		end := errors.New("the end")
		last := start
		err := engine.Watch(e.ctx, bucket, start, func(ev storage.Event) error {
			if ev.Revision <= last {
				return fmt.Errorf("revision %d comes after %d", ev.Revision, last)
			}
			last = ev.Revision
			if ev.Key != "n" {
				n++
			}
			if n == writers*rounds {
				return end
			}
			return nil
		})
		if err != end {
			e.Errorf("watching: %v", err)
		}
	})
	wg.Wait()
	e.want("n", fmt.Sprint(writers*rounds))
}
