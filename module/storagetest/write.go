package storagetest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddysip/caddysip/storage"
)

type change = storage.Change

func getPutDelete(e *env) {
	e.want("a", "")
	if r := e.must(change{Key: "a"}); r != 0 {
		e.Fatalf("deleting what isn't there made revision %d", r)
	}
	r := e.put("a", "1")
	got := e.want("a", "1")
	if got.Revision != r || !got.Expires.IsZero() {
		e.Fatalf("got revision %d and expiry %v, want %d and none", got.Revision, got.Expires, r)
	}
	e.put("a", "2")
	e.want("a", "2")
	if _, err := e.engine.Get(e.ctx, "others", "a"); !errors.Is(err, storage.ErrNotFound) {
		e.Fatalf("the key is in another bucket as well: %v", err)
	}
	e.must(change{Key: "a"})
	e.want("a", "")
	e.wantList("", "")

	// An empty value is a value.
	e.must(change{Key: "a", Value: []byte{}})
	if got, err := e.engine.Get(e.ctx, bucket, "a"); err != nil || got.Value == nil || len(got.Value) != 0 {
		e.Fatalf("an empty value came back as %#v, %v", got.Value, err)
	}

	// What Get returned is the caller's.
	e.put("b", "xyz")
	got = e.want("b", "xyz")
	for i := range got.Value {
		got.Value[i] = '#'
	}
	e.want("b", "xyz")
}

func revisions(e *env) {
	last := uint64(0)
	for i := range 10 {
		r, err := e.write(
			change{Key: "a", Value: []byte{byte(i)}},
			change{Key: "b", Value: []byte("same")},
			change{Key: "none"},
			change{Bucket: "others", Key: "a", Value: []byte("x")},
			change{Key: "b"},
		)
		if err != nil {
			e.Fatal(err)
		}
		if len(r) != 5 || r[0] <= last || r[1] <= r[0] || r[2] != 0 || r[3] <= r[1] || r[4] <= r[3] {
			e.Fatalf("after revision %d come %v", last, r)
		}
		last = r[4]
		if got, _ := e.engine.Get(e.ctx, bucket, "a"); got.Revision != r[0] {
			e.Fatalf("revision is %d, want %d", got.Revision, r[0])
		}
	}
	if _, r := e.list(""); r < last {
		e.Fatalf("a range is of revision %d, and %d was written before", r, last)
	}
}

func conflicts(e *env) {
	e.refused(change{Key: "a", Value: []byte("1"), Expect: 1}, storage.ErrConflict)
	e.refused(change{Key: "a", Expect: 1}, storage.ErrConflict)
	first := e.must(change{Key: "a", Value: []byte("1"), Expect: storage.Absent})
	e.refused(change{Key: "a", Value: []byte("2"), Expect: storage.Absent}, storage.ErrConflict)
	e.refused(change{Key: "a", Expect: storage.Absent}, storage.ErrConflict)
	second := e.must(change{Key: "a", Value: []byte("2"), Expect: first})
	e.refused(change{Key: "a", Value: []byte("3"), Expect: first}, storage.ErrConflict)
	e.refused(change{Key: "a", Expect: first}, storage.ErrConflict)
	e.want("a", "2")
	if r := e.must(change{Key: "a", Expect: second}); r <= second {
		e.Fatalf("the deletion of revision %d has %d", second, r)
	}
	e.want("a", "")
	e.must(change{Key: "a", Value: []byte("4"), Expect: storage.Absent})
	e.want("a", "4")
}

func batchIsAllOrNothing(e *env) {
	e.put("a", "old")
	before := e.put("b", "old")
	_, err := e.write(
		change{Key: "a", Value: []byte("new")},
		change{Key: "b"},
		change{Key: "c", Value: []byte("new")},
		change{Bucket: "unheard-of", Key: "c", Value: []byte("new")},
		change{Key: "b", Value: []byte("new"), Expect: before}, // just deleted
	)
	if !errors.Is(err, storage.ErrConflict) {
		e.Fatalf("error is %v", err)
	}
	e.wantList("", "a=old b=old ")
	after := e.put("d", "1")

	// A batch sees what it has changed itself.
	r, err := e.write(
		change{Key: "b", Expect: before},
		change{Key: "b", Value: []byte("new"), Expect: storage.Absent},
	)
	if err != nil {
		e.Fatal(err)
	}
	e.wantList("", "a=old b=new d=1 ")

	// What was refused was not seen either.
	e.watch(before).want(after)
	e.watch(after).want(r[1])
}

func nothingOfABatchIsKept(e *env) {
	value := []byte("mine")
	w := e.watch(e.put("b", "1"))
	r := e.must(change{Key: "a", Value: value})
	copy(value, "####")
	e.want("a", "mine")
	w.want(r)
	e.wantList("a", "a=mine ")
}

func ranges(e *env) {
	e.wantList("", "")
	for _, key := range []string{"b", "a/2", "a", "a/10", "ü", "a/1", "a0", "A", "a/"} {
		e.put(key, "v")
	}
	if _, err := e.write(change{Bucket: "others", Key: "a/3", Value: []byte("v")}); err != nil {
		e.Fatal(err)
	}
	e.wantList("", "A=v a=v a/=v a/1=v a/10=v a/2=v a0=v b=v ü=v ")
	e.wantList("a/", "a/=v a/1=v a/10=v a/2=v ")
	e.wantList("a/1", "a/1=v a/10=v ")
	e.wantList("c", "")
	e.wantList("ü", "ü=v ")
	e.must(change{Key: "a/1"})
	e.wantList("a/1", "a/10=v ")

	expires := time.Now().Add(time.Hour)
	r := e.must(change{Key: "t", Value: []byte("v"), Expires: expires})
	_, err := e.engine.Range(e.ctx, bucket, "t", func(en storage.Entry) error {
		if d := en.Expires.Sub(expires); en.Revision != r || d < 0 || d > time.Second {
			return fmt.Errorf("revision %d, expires %v", en.Revision, en.Expires)
		}
		return nil
	})
	if err != nil {
		e.Fatal(err)
	}
}

func rangeStops(e *env) {
	for i := range 10 {
		e.put(fmt.Sprint(i), "v")
	}
	stop := errors.New("enough")
	n := 0
	_, err := e.engine.Range(e.ctx, bucket, "", func(storage.Entry) error {
		if n++; n == 3 {
			return stop
		}
		return nil
	})
	if err != stop || n != 3 {
		e.Fatalf("the range went on to %d and returned %v", n, err)
	}
	e.put("a", "1") // nothing is held
}

func limits(e *env) {
	for name, c := range map[string]change{
		"no key":        {Value: []byte("v")},
		"large key":     {Key: strings.Repeat("k", 1<<16), Value: []byte("v")},
		"large value":   {Key: "k", Value: make([]byte, 2<<20)},
		"deletion":      {},
		"large deleted": {Key: strings.Repeat("k", 1<<16)},
	} {
		if _, err := e.write(change{Key: "good", Value: []byte("v")}, c); !errors.Is(err, storage.ErrInvalid) {
			e.Errorf("%s: error is %v", name, err)
		}
	}
	if _, err := e.engine.Write(e.ctx, storage.Batch{Changes: []change{{Key: "k", Value: []byte("v")}}}); !errors.Is(err, storage.ErrInvalid) {
		e.Errorf("no bucket: error is %v", err)
	}
	e.wantList("", "")
	if r, err := e.write(); err != nil || len(r) != 0 {
		e.Errorf("an empty batch: %v, %v", r, err)
	}
	key, value := strings.Repeat("k", 1024), strings.Repeat("v", 1<<20)
	e.put(key, value)
	e.want(key, value)
	e.put("\x00\xff\n", "any byte")
	e.want("\x00\xff\n", "any byte")
}
