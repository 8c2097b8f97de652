package store

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"github.com/caddysip/caddysip/storage"
)

// fullFile names the file of the process whose files must not grow.
const fullFile = "CADDYSIP_TEST_FULL_FILE"

// TestBoltFull has a disk without room, over and over: a limit on the size of files, which ends
// where a full disk does. It is set for a process of its own.
func TestBoltFull(t *testing.T) {
	if path := os.Getenv(fullFile); path != "" {
		signal.Ignore(syscall.SIGXFSZ)
		beginFull(t, path)
		fillUp(t, path)
		noRoomToCompact(t, path+".sparse")
		return
	}
	child := exec.Command(os.Args[0], "-test.run=^TestBoltFull$", "-test.v")
	child.Env = append(os.Environ(), fullFile+"="+filepath.Join(t.TempDir(), "sip.db"))
	out, err := child.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestBoltFull") {
		t.Fatalf("%v\n%s", err, out)
	}
}

func limitFiles(t *testing.T, size uint64) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = min(size, limit.Max)
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
}

// beginFull has no room for a new file: nothing is left of it that would stop the next start.
func beginFull(t *testing.T, path string) {
	for _, size := range []int{0, 1, os.Getpagesize(), 4*os.Getpagesize() + 1} {
		limitFiles(t, uint64(size))
		if b, err := OpenBolt(path); err == nil {
			b.Close()
			t.Fatalf("a file was made in %d bytes", size)
		} else if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "file too large") || strings.Contains(err.Error(), "damaged") {
			t.Errorf("in %d bytes: %v", size, err)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("in %d bytes: a file is left", size)
		}
	}
	limitFiles(t, unix.RLIM_INFINITY)
}

// noRoomToCompact has a file that is mostly free, and no room for a copy.
func noRoomToCompact(t *testing.T, path string) {
	before := emptied(t, path, func(i int) bool { return i%10 == 0 })
	limitFiles(t, 100<<10)
	closeBolt(t, openBolt(t, path))
	if after := size(t, path); after != before {
		t.Errorf("its size was %d and is %d", before, after)
	}
	if _, err := os.Stat(path + ".compact"); err == nil {
		t.Error("half a copy is left")
	}
	limitFiles(t, unix.RLIM_INFINITY)
	closeBolt(t, openBolt(t, path))
	if after := size(t, path); after > before/4 {
		t.Errorf("there is room, and of %d bytes %d are left", before, after)
	}
	if n := stored(t, path); n != 2000 {
		t.Errorf("%d keys are left", n)
	}
}

func fillUp(t *testing.T, path string) {
	b := openBolt(t, path)
	defer closeBolt(t, b)
	written := 0
	write := func() error {
		var changes []storage.Change
		for i := range 100 {
			changes = append(changes, storage.Change{Bucket: "things", Key: fmt.Sprintf("key%06d", written+i), Value: []byte(strings.Repeat("v", 300))})
		}
		_, err := b.Write(t.Context(), storage.Batch{Changes: changes})
		if err == nil {
			written += len(changes)
		}
		return err
	}
	count := func() int {
		n := 0
		if _, err := b.Range(t.Context(), "things", "", func(en storage.Entry) error {
			if want := fmt.Sprintf("key%06d", n); en.Key != want || len(en.Value) != 300 {
				return fmt.Errorf("%s with %d bytes, want %s", en.Key, len(en.Value), want)
			}
			n++
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	failures := 0
	for round := range 30 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		// Where it ends is within what bbolt has set aside as well as at its end.
		limitFiles(t, uint64(info.Size())-uint64(round%3)*uint64(os.Getpagesize())*4)
		for range 10 {
			err := write()
			if err == nil {
				continue
			}
			failures++
			if !strings.Contains(err.Error(), "file too large") || strings.Contains(err.Error(), "damaged") {
				t.Fatalf("round %d: %v", round, err)
			}
			if n := count(); n != written {
				t.Fatalf("round %d: after an error %d keys are there, want %d", round, n, written)
			}
		}
		limitFiles(t, unix.RLIM_INFINITY)
		for range 3 {
			if err := write(); err != nil {
				t.Fatalf("round %d: there is room again, and: %v", round, err)
			}
		}
		if n := count(); n != written {
			t.Fatalf("round %d: %d keys are there, want %d", round, n, written)
		}
	}
	if failures < 50 {
		t.Errorf("the disk was full %d times only", failures)
	}
	if err := b.db.View(func(tx *bolt.Tx) error {
		for err := range tx.Check() {
			return err
		}
		return nil
	}); err != nil {
		t.Errorf("bbolt finds wrong: %v", err)
	}
	t.Logf("%d errors, %d keys", failures, written)
}
