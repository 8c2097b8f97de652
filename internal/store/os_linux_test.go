package store

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/caddysip/caddysip/storage"
)

func TestBoltDamagedFileIsLetGo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sip.db")
	whole := fillBolt(t, path, 2000)
	for _, size := range []int{2 * os.Getpagesize(), len(whole) / 3, usedBytes(t, whole) - os.Getpagesize()} {
		write(t, path, whole[:size])
		wantRefused(t, path, "damaged")
		write(t, path, whole) // the same file, not another of that name
		closeBolt(t, openBolt(t, path))
	}
	b := openBolt(t, path)
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Get(t.Context(), "things", "key000500"); err == nil {
		t.Fatal("what is gone was read")
	}
	closeBolt(t, b)
	wantRefused(t, path, "damaged", "nothing in it")
	write(t, path, whole)
	openBolt(t, path)
}

func TestBoltReadOnly(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sip.db")
	fillBolt(t, path, 10)
	if err := os.Chmod(path, 0o444); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{dir, filepath.Dir(dir)} { // which are the test's own
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	errs := make(chan error)
	go func() {
		// A thread that is not root's, for which the file's mode counts; it ends with the
		// goroutine.
		runtime.LockOSThread()
		if os.Getuid() == 0 {
			_, _, _ = unix.RawSyscall(unix.SYS_SETFSUID, 65534, 0, 0)
		}
		_, err := OpenBolt(path)
		errs <- err
	}()
	if err := <-errs; err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "permission denied") {
		t.Fatalf("error is %v", err)
	}
}

// TestBoltDoesNotStayInMemory: a page that was read to change it is the page cache's.
func TestBoltDoesNotStayInMemory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sip.db")
	fillBolt(t, path, 20_000)
	b := openBolt(t, path)
	wantAway := func(after string) {
		if n := resident(t, path); n > 64<<10 {
			t.Fatalf("after %s %d bytes of the file are counted as the process's memory", after, n)
		}
	}
	wantAway("opening it")
	if _, err := b.Range(t.Context(), "things", "", func(storage.Entry) error { return nil }); err != nil {
		t.Fatal(err)
	}
	wantAway("a range")
	var changes []storage.Change
	for i := range 4096 {
		changes = append(changes, storage.Change{Bucket: "things", Key: fmt.Sprintf("key%06d", i*4), Value: []byte("x")})
	}
	mustWrite(t, b, changes...)
	wantAway("a batch")
}

// resident returns how much of a file that is mapped is in memory.
func resident(t *testing.T, path string) (bytes int) {
	t.Helper()
	data, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		switch {
		case strings.Contains(fields[0], "-"):
			found = fields[len(fields)-1] == path
		case found && fields[0] == "Rss:":
			n := 0
			for _, c := range fields[1] {
				n = n*10 + int(c-'0')
			}
			bytes += n << 10
		}
	}
	return bytes
}
