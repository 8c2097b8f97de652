package store

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/storage"
)

// emptied writes a file with many keys and deletes all but those that keep keeps. It returns its size.
func emptied(t *testing.T, path string, keep func(i int) bool) int64 {
	t.Helper()
	b := openBolt(t, path)
	const n = 20_000
	var all, none []storage.Change
	for i := range n {
		c := storage.Change{Bucket: fmt.Sprint("things", i%3), Key: fmt.Sprintf("key%06d", i)}
		if !keep(i) {
			none = append(none, c)
		}
		c.Value = fmt.Appendf(nil, "%0300d", i)
		if i%100 == 0 {
			c.Expires = time.Now().Add(time.Hour)
		}
		all = append(all, c)
	}
	mustWrite(t, b, all...)
	mustWrite(t, b, none...)
	closeBolt(t, b)
	return size(t, path)
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// content returns all of an engine, with revisions and expiries.
func content(t *testing.T, b *Bolt) string {
	t.Helper()
	var all bytes.Buffer
	for i := range 3 {
		revision, err := b.Range(t.Context(), fmt.Sprint("things", i), "", func(e storage.Entry) error {
			fmt.Fprintln(&all, e.Key, e.Revision, e.Expires.UnixMilli(), string(e.Value))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&all, revision)
	}
	return all.String()
}

func onlyFile(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("beside the file are %v, %v", entries, err)
	}
}

func TestBoltIsCompactedWhenMostlyFree(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sip.db")
	before := emptied(t, path, func(i int) bool { return i%50 == 0 })
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	write(t, path+".compact", []byte("left by a crash"))
	link := filepath.Join(t.TempDir(), "link.db") // the file may be elsewhere
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	b := openBolt(t, link)
	if after := size(t, path); after > before/20 {
		t.Errorf("of %d bytes %d are left", before, after)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", info.Mode(), err)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o640 {
		t.Errorf("its mode is %v", info.Mode())
	}
	onlyFile(t, path)
	want := content(t, b)
	if n := bytes.Count([]byte(want), []byte("\n")); n != 400+3 {
		t.Fatalf("%d lines are left", n)
	}

	synctest.Test(t, func(t *testing.T) { wantRefused(t, path, "in use by another process") })

	mustWrite(t, b, storage.Change{Bucket: "things0", Key: "later", Value: bytes.Repeat([]byte("v"), 900<<10)})
	want = content(t, b)
	closeBolt(t, b)
	b = openBolt(t, path)
	if got := content(t, b); got != want {
		t.Errorf("after another start it has %.300s\nwant %.300s", got, want)
	}
}

func TestBoltIsNotCompacted(t *testing.T) {
	same := func(t *testing.T, path string) {
		t.Helper()
		before, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		closeBolt(t, openBolt(t, path))
		if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
			t.Errorf("it is another file now: %v", err)
		}
		onlyFile(t, path)
	}
	t.Run("in use", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "sip.db")
		emptied(t, path, func(int) bool { return true })
		same(t, path)
	})
	t.Run("small", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "sip.db")
		fillBolt(t, path, 100)
		same(t, path)
	})
	t.Run("no place for a copy", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "sip.db")
		emptied(t, path, func(i int) bool { return i%50 == 0 })
		if err := os.Mkdir(path+".compact", 0o700); err != nil {
			t.Fatal(err)
		}
		before := size(t, path)
		b := openBolt(t, path)
		if n := bytes.Count([]byte(content(t, b)), []byte("\n")); n != 400+3 || size(t, path) != before {
			t.Errorf("%d lines in %d bytes are left", n, size(t, path))
		}
	})
}

// TestBoltIsReplacedWhileAnotherWaits: who waited for the lock of a file does not go on with one
// that has lost its name, where everything it writes would be lost.
func TestBoltIsReplacedWhileAnotherWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "sip.db")
		other := filepath.Join(t.TempDir(), "copy.db")
		fillBolt(t, other, 10)
		holder := openBolt(t, path)
		time.AfterFunc(lockTimeout/2, func() {
			if err := os.Rename(other, path); err != nil {
				t.Error(err)
			}
			holder.Close()
		})
		b := openBolt(t, path)
		if _, err := b.Get(t.Context(), "things", "key000009"); err != nil {
			t.Error(err)
		}
		mustWrite(t, b, storage.Change{Bucket: "things", Key: "more", Value: []byte("v")})
		closeBolt(t, b)
		if n := stored(t, path); n != 11 {
			t.Errorf("the file has %d keys, want 11", n)
		}
	})
}

func TestBackupHasNoFreePages(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sip.db")
	b := openBolt(t, path)
	var all, none []storage.Change
	for i := range 20_000 {
		c := storage.Change{Bucket: fmt.Sprint("things", i%3), Key: fmt.Sprintf("key%06d", i), Value: make([]byte, 300)}
		all = append(all, c)
		if c.Value = nil; i%50 != 0 {
			none = append(none, c)
		}
	}
	mustWrite(t, b, all...)
	mustWrite(t, b, none...)
	data := readBackup(t, b)
	if before := size(t, path); int64(len(data)) > before/20 {
		t.Errorf("the copy of %d bytes has %d", before, len(data))
	}
	onlyFile(t, path)
	other := filepath.Join(t.TempDir(), "copy.db")
	write(t, other, data)
	if got, want := content(t, openBolt(t, other)), content(t, b); got != want {
		t.Errorf("the copy has %.300s\nwant %.300s", got, want)
	}
}
