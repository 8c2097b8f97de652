package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/caddysip/caddysip/storage"
)

func openBolt(t testing.TB, path string) *Bolt {
	t.Helper()
	b, err := OpenBolt(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func closeBolt(t testing.TB, b *Bolt) {
	t.Helper()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

func mustWrite(t testing.TB, e storage.Engine, changes ...storage.Change) {
	t.Helper()
	if _, err := e.Write(context.Background(), storage.Batch{Changes: changes}); err != nil {
		t.Fatal(err)
	}
}

// fillBolt writes a file with n keys, in several batches, and returns its bytes.
func fillBolt(t testing.TB, path string, n int) []byte {
	t.Helper()
	b := openBolt(t, path)
	for i := 0; i < n; i += 100 {
		var changes []storage.Change
		for j := i; j < min(n, i+100); j++ {
			changes = append(changes, storage.Change{Bucket: "things", Key: fmt.Sprintf("key%06d", j), Value: bytes.Repeat([]byte("v"), 100)})
		}
		mustWrite(t, b, changes...)
	}
	closeBolt(t, b)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// wantRefused checks that the file cannot be opened, that the error says why, and that nothing
// stands in the way once it is repaired.
func wantRefused(t *testing.T, path string, say ...string) {
	t.Helper()
	b, err := OpenBolt(path)
	if err == nil {
		b.Close()
		t.Fatal("it was opened")
	}
	for _, s := range append(say, path) {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("the error does not say %q: %v", s, err)
		}
	}
}

func TestBoltLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sip.db")
	b := openBolt(t, path)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		wantRefused(t, path, "in use by another process", "another path")
		if d := time.Since(start); d > 2*time.Second {
			t.Fatalf("it took %v", d)
		}
	})
	closeBolt(t, b)
	openBolt(t, path)
}

func TestBoltWaitsForOneThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "sip.db")
		b := openBolt(t, path)
		time.AfterFunc(lockTimeout/2, func() { b.Close() })
		openBolt(t, path)
	})
}

func TestBoltOtherPlaces(t *testing.T) {
	dir := t.TempDir()
	wantRefused(t, dir, "directory")
	write(t, filepath.Join(dir, "file"), []byte("x"))
	if _, err := OpenBolt(filepath.Join(dir, "file", "sip.db")); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "file")) {
		t.Errorf("below a file: %v", err)
	}

	path := filepath.Join(dir, "other.db")
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(tx *bolt.Tx) error { _, err := tx.CreateBucket([]byte("theirs")); return err }); err != nil {
		t.Fatal(err)
	}
	db.Close()
	before, _ := os.ReadFile(path)
	wantRefused(t, path, "not one of this server")
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("somebody else's database was changed")
	}

	path = filepath.Join(dir, "new", "er", "sip.db")
	openBolt(t, path)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v, %v", info.Mode(), err)
	}
}

func TestBoltNewerVersion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sip.db")
	fillBolt(t, path, 10)
	setVersion(t, path, 2)
	before, _ := os.ReadFile(path)
	wantRefused(t, path, "has version 2", "up to 1", "newer server")
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the file was changed")
	}
}

func TestBoltOlderVersions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sip.db")
	fillBolt(t, path, 10)
	defer func(u []func(*bolt.Tx) error) { upgrades = u }(upgrades)
	step := func(name string, err error) func(*bolt.Tx) error {
		return func(tx *bolt.Tx) error {
			b, e := tx.Bucket(bucketData).CreateBucketIfNotExists([]byte("steps"))
			if e == nil {
				e = b.Put([]byte(name), appendEntry(nil, 1, 0, nil))
			}
			return errors.Join(e, err)
		}
	}
	upgrades = []func(*bolt.Tx) error{step("to 2", nil), step("to 3", errors.New("it cannot be"))}
	wantRefused(t, path, "upgrading from version 2", "it cannot be")

	upgrades[1] = step("to 3", nil)
	for range 2 { // the second time there is nothing to do
		b := openBolt(t, path)
		var steps []string
		if _, err := b.Range(t.Context(), "steps", "", func(e storage.Entry) error { steps = append(steps, e.Key); return nil }); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(steps, ", "); got != "to 2, to 3" {
			t.Fatalf("steps were %q", got)
		}
		if _, err := b.Get(t.Context(), "things", "key000009"); err != nil {
			t.Fatal(err)
		}
		closeBolt(t, b)
	}
	upgrades = upgrades[:1]
	wantRefused(t, path, "has version 3")
	// A new file is of the newest version, and not upgraded.
	upgrades[0] = func(*bolt.Tx) error { return errors.New("not this") }
	openBolt(t, filepath.Join(t.TempDir(), "sip.db"))
}

func TestBoltDropsWhatHasExpiredWhenOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "sip.db")
		b := openBolt(t, path)
		for i := range 30 {
			c := storage.Change{Bucket: fmt.Sprint("bucket", i%3), Key: fmt.Sprint(i), Value: []byte("x"), Expires: time.Now().Add(time.Minute)}
			if i%2 == 0 {
				c.Expires = time.Time{}
			}
			mustWrite(t, b, c)
		}
		closeBolt(t, b)
		if n := stored(t, path); n != 30 {
			t.Fatalf("%d entries", n)
		}
		time.Sleep(time.Minute)
		closeBolt(t, openBolt(t, path))
		if n := stored(t, path); n != 15 {
			t.Fatalf("%d entries, want 15", n)
		}
	})
}

func TestBoltSweeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "sip.db")
		b := openBolt(t, path)
		const n = 3 * sweepLimit
		var changes []storage.Change
		for i := range n {
			c := storage.Change{Bucket: fmt.Sprint("bucket", i%3), Key: fmt.Sprint(i), Value: []byte("x")}
			if i%10 == 0 {
				c.Expires = time.Now().Add(time.Second)
			}
			changes = append(changes, c)
		}
		mustWrite(t, b, changes...)
		pass((n/sweepLimit + 1) * sweepInterval)
		closeBolt(t, b)
		if got := stored(t, path); got != n*9/10 {
			t.Fatalf("%d entries, want %d", got, n*9/10)
		}
	})
}

// stored counts what is in a file, seen or not.
func stored(t *testing.T, path string) (n int) {
	t.Helper()
	change(t, path, func(tx *bolt.Tx) error {
		return tx.Bucket(bucketData).ForEachBucket(func(k []byte) error {
			n += tx.Bucket(bucketData).Bucket(k).Stats().KeyN
			return nil
		})
	})
	return n
}

func setVersion(t *testing.T, path string, version uint64) {
	change(t, path, func(tx *bolt.Tx) error {
		return tx.Bucket(bucketMeta).Put(keyVersion, binary.BigEndian.AppendUint64(nil, version))
	})
}

func change(t *testing.T, path string, f func(*bolt.Tx) error) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Update(f); err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, fs.FileMode(0o600)); err != nil {
		t.Fatal(err)
	}
}
