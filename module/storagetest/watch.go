package storagetest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/caddysip/caddysip/storage"
)

func watch(e *env) {
	start := e.put("a", "0")
	w := e.watch(start)
	first := e.put("a", "1")
	w.want(first)
	if _, err := e.write(change{Bucket: "others", Key: "x", Value: []byte("1")}); err != nil {
		e.Fatal(err)
	}
	r, err := e.write(change{Key: "b", Value: []byte("2")}, change{Key: "a"}, change{Key: "nothing"}, change{Key: "b", Value: []byte("3")})
	if err != nil {
		e.Fatal(err)
	}
	w.want(r[1])
	w.want(r[3])
	second := e.watch(first)
	second.want(r[1])
	w.cancel()
	w.wantEnd(context.Canceled)
	second.want(r[3])
}

func watchResumes(e *env) {
	last := e.put("start", "0")
	n := 0
	put := func() uint64 {
		n++
		return e.put(fmt.Sprint("a", n), fmt.Sprint(n))
	}
	var missed []uint64
	for range 5 {
		w := e.watch(last)
		for _, r := range missed {
			w.want(r)
		}
		for range 7 {
			last = put()
			w.want(last)
		}
		w.cancel()
		w.wantEnd(context.Canceled)
		missed = []uint64{put(), put(), put()} // while nobody watches
	}
}

// watchFromRange makes a copy of the store, as a node of a cluster does, while others write.
func watchFromRange(e *env) {
	const keys, writes = 10, 300
	engine := e.engine
	write := func(n int) error {
		c := change{Bucket: bucket, Key: fmt.Sprint("k", n%keys), Value: fmt.Append(nil, n)}
		if n%4 == 3 {
			c.Value = nil
		}
		_, err := engine.Write(e.ctx, storage.Batch{Changes: []change{c}})
		return err
	}
	for n := range writes / 2 {
		if err := write(n); err != nil {
			e.Fatal(err)
		}
	}
	written := make(chan error, 1)
	go func() {
		for n := writes / 2; n < writes; n++ {
			if err := write(n); err != nil {
				written <- err
				return
			}
		}
		_, err := engine.Write(e.ctx, storage.Batch{Changes: []change{{Bucket: bucket, Key: "end", Value: []byte("x")}}})
		written <- err
	}()
	copied := map[string]string{}
	r, err := engine.Range(e.ctx, bucket, "", func(en storage.Entry) error {
		copied[en.Key] = string(en.Value)
		return nil
	})
	if err != nil {
		e.Fatal(err)
	}
	end := errors.New("the end")
	last := r
	follow := func(ev storage.Event) error {
		if ev.Revision <= last {
			return fmt.Errorf("revision %d comes after %d", ev.Revision, last)
		}
		last = ev.Revision
		delete(copied, ev.Key)
		if !ev.Deleted {
			copied[ev.Key] = string(ev.Value)
		}
		if ev.Key == "end" {
			return end
		}
		return nil
	}
	if copied["end"] != "" {
		err = end // all was written before the range: there is nothing to wait for
	} else {
		err = engine.Watch(e.ctx, bucket, r, follow)
	}
	if err != end {
		e.Fatalf("watching: %v", err)
	}
	if err := <-written; err != nil {
		e.Fatal(err)
	}
	text, _ := e.list("")
	for _, pair := range strings.Fields(text) {
		key, value, _ := strings.Cut(pair, "=")
		if copied[key] != value {
			e.Errorf("the copy has %s=%q, the store %s", key, copied[key], pair)
		}
		delete(copied, key)
	}
	if len(copied) > 0 {
		e.Errorf("the copy has %v, the store has not", copied)
	}
}

// watchTooOld: what is long past is not remembered for ever, and whoever wants it is told so.
func watchTooOld(e *env) {
	first := e.put("a", "0")
	value := make([]byte, 100)
	last := first
	for n := range 40 {
		changes := make([]change, 1000)
		for i := range changes {
			changes[i] = change{Key: fmt.Sprintf("k%d/%d", n, i), Value: value}
		}
		r, err := e.write(changes...)
		if err != nil {
			e.Fatal(err)
		}
		last = r[len(r)-1]
	}
	// An engine that remembers all of it must have all of it.
	n := 0
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	err := e.engine.Watch(ctx, bucket, first, func(ev storage.Event) error {
		if n++; ev.Revision == last {
			cancel()
		}
		return nil
	})
	if !(errors.Is(err, storage.ErrGone) && n == 0) && n != 40_000 {
		e.Fatalf("watching from long ago gave %d of 40000 changes and then %v, want all of them or none and ErrGone", n, err)
	}
	_, now := e.list("a")
	w := e.watch(now)
	w.want(e.put("a", "1"))
}

func watchOfAnotherStore(e *env) {
	r := e.put("a", "1")
	w := e.watch(r + 1000)
	w.wantEnd(storage.ErrGone)
}

// watchTooSlow: a watcher that does not keep up holds up nobody, and is told.
func watchTooSlow(e *env) {
	start := e.put("a", "0")
	entered, release := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	last, seen := start, 0
	engine := e.engine
	ctx, cancel := context.WithTimeout(e.ctx, patience)
	defer cancel()
	go func() {
		ended <- engine.Watch(ctx, bucket, start, func(ev storage.Event) error {
			if seen++; seen == 1 {
				close(entered)
				<-release
			}
			if ev.Revision <= last {
				return fmt.Errorf("revision %d comes after %d", ev.Revision, last)
			}
			last = ev.Revision
			if ev.Key == "end" {
				return context.Canceled
			}
			return nil
		})
	}()
	e.put("first", "0")
	<-entered
	value := make([]byte, 100)
	for n := range 40 {
		changes := make([]change, 1000)
		for i := range changes {
			changes[i] = change{Key: fmt.Sprintf("k%d/%d", n, i), Value: value}
		}
		if _, err := e.write(changes...); err != nil {
			e.Fatal(err)
		}
	}
	e.put("end", "0")
	close(release)
	err := <-ended
	if !errors.Is(err, storage.ErrGone) && !(errors.Is(err, context.Canceled) && seen == 40_002) {
		e.Fatalf("a slow watcher has seen %d of 40002 changes and then %v, want all of them or ErrGone", seen, err)
	}
}

func watchEnds(e *env) {
	start := e.put("a", "0")
	stop := errors.New("enough")
	e.put("a", "1")
	e.put("b", "2")
	calls := 0
	err := e.engine.Watch(e.ctx, bucket, start, func(storage.Event) error {
		calls++
		return stop
	})
	if err != stop || calls != 1 {
		e.Fatalf("the watch was called %d times and ended with %v", calls, err)
	}
	// A watcher may use the engine.
	engine := e.engine
	err = engine.Watch(e.ctx, bucket, start, func(ev storage.Event) error {
		if ev.Key == "copy" {
			return stop
		}
		_, err := engine.Write(e.ctx, storage.Batch{Changes: []change{{Bucket: bucket, Key: "copy", Value: ev.Value}}})
		return err
	})
	if err != stop {
		e.Fatal(err)
	}
	_, now := e.list("")
	w := e.watch(now)
	w.want(e.put("a", "3"))
	e.close()
	w.wantEnd(storage.ErrClosed)
}
