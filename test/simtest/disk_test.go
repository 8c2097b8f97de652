package simtest

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/internal/store"
	"github.com/caddysip/caddysip/storage"
	"github.com/caddysip/caddysip/test/simnet"
)

// writeFor writes numbered keys until an error, and returns how many were acknowledged.
func writeFor(t *testing.T, b *store.Bolt, from int) (acknowledged int, err error) {
	for n := from; ; n++ {
		var changes []storage.Change
		for i := range 40 {
			changes = append(changes, storage.Change{Bucket: "things", Key: fmt.Sprintf("%02d", i), Value: fmt.Appendf(nil, "%0300d", n)})
		}
		changes = append(changes, storage.Change{Bucket: "all", Key: fmt.Sprintf("%08d", n), Value: []byte("x")})
		if _, err := b.Write(t.Context(), storage.Batch{Changes: changes}); err != nil {
			return n - from, err
		}
	}
}

// TestPowerCuts cuts the power in the midst of writing, again and again: the file opens, each batch
// is there as a whole or not at all, and those that were acknowledged are there.
func TestPowerCuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "sip.db")
		chance := simnet.New(1).Seeded("disk")
		d := newDisk(path, chance)
		defer d.remove()
		written := 0
		for round := range 60 {
			b, err := store.OpenBolt(path)
			if err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			count := 0
			if _, err := b.Range(t.Context(), "all", "", func(storage.Entry) error { count++; return nil }); err != nil {
				t.Fatal(err)
			}
			if count < written || count > written+1 {
				t.Fatalf("round %d: %d batches are there, %d were acknowledged", round, count, written)
			}
			if _, err := b.Range(t.Context(), "things", "", func(e storage.Entry) error {
				if want := fmt.Sprintf("%0300d", count-1); string(e.Value) != want {
					return fmt.Errorf("%s is of another batch than %d", e.Key, count-1)
				}
				return nil
			}); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			written = count
			d.Set(Faults{Latency: 20 * time.Millisecond, Metas: true})
			time.AfterFunc(time.Duration(chance.Int64N(int64(time.Second))), d.cut)
			n, err := writeFor(t, b, written)
			if !errors.Is(err, syscall.EIO) {
				t.Fatalf("round %d: %v", round, err)
			}
			written += n
			b.Close()
			d.restore()
		}
		kept, lost, torn := d.Cuts()
		if kept == 0 || lost == 0 || torn == 0 || written < 100 {
			t.Errorf("%d writes were kept, %d lost, %d torn, of %d batches", kept, lost, torn, written)
		}
	})
}

// TestFaults has a disk that is full or fails, and works again: nothing that was acknowledged is
// lost, and of what was not at most the latest is there.
func TestFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "sip.db")
		d := newDisk(path, simnet.New(1).Seeded("disk"))
		defer d.remove()
		b, err := store.OpenBolt(path)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		written := 0
		for round, f := range []Faults{{Err: syscall.ENOSPC}, {Err: syscall.EIO}, {Errors: 0.1}, {Short: 0.1}, {Errors: 0.05, Short: 0.05}} {
			for range 20 {
				d.Set(f)
				n, err := writeFor(t, b, written)
				if !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.ENOSPC) {
					t.Fatalf("round %d: %v", round, err)
				}
				written += n
				d.Heal()
				count := 0
				if _, err := b.Range(t.Context(), "all", "", func(storage.Entry) error { count++; return nil }); err != nil || count < written || count > written+1 {
					t.Fatalf("round %d: %d batches are there, %d were acknowledged: %v", round, count, written, err)
				}
				written = count // a meta page may be there, and its write have failed
			}
		}
		if written < 20 {
			t.Errorf("only %d batches were written", written)
		}
	})
}

// TestStartOnBadDisk opens a file on a disk that is full, or fails: what is in it is there, though
// what has expired cannot be deleted. So a server starts, and serves.
func TestStartOnBadDisk(t *testing.T) {
	for _, failure := range []error{syscall.ENOSPC, syscall.EIO} {
		synctest.Test(t, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "sip.db")
			d := newDisk(path, simnet.New(1).Seeded("disk"))
			defer d.remove()
			b, err := store.OpenBolt(path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := b.Write(t.Context(), storage.Batch{Changes: []storage.Change{
				{Bucket: "things", Key: "short", Value: []byte("x"), Expires: time.Now().Add(time.Second)},
				{Bucket: "things", Key: "long", Value: []byte("x")},
			}}); err != nil {
				t.Fatal(err)
			}
			b.Close()
			time.Sleep(time.Minute)
			d.Set(Faults{Err: failure})
			if b, err = store.OpenBolt(path); err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			if _, err := b.Get(t.Context(), "things", "long"); err != nil {
				t.Error(err)
			}
			if _, err := b.Get(t.Context(), "things", "short"); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("what has expired: %v", err)
			}
			d.Heal()
			if _, err := b.Write(t.Context(), storage.Batch{Changes: []storage.Change{{Bucket: "things", Key: "new", Value: []byte("x")}}}); err != nil {
				t.Errorf("the disk works again: %v", err)
			}
		})
	}
}
