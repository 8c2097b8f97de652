package hostile

import (
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// childTest names the test that a process is for.
const childTest = "HOSTILE_CHILD"

// inChild runs the rest of a test in a process of its own, whose limits it may change.
func inChild(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	if os.Getenv(childTest) == t.Name() {
		f(t)
		return
	}
	child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=5m")
	child.Env = append(os.Environ(), childTest+"="+t.Name())
	out, err := child.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("\n%s", out)
}

// setLimit sets a limit of the process, as far as it may.
func setLimit(t *testing.T, which int, value uint64) (set uint64) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(which, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = min(value, limit.Max)
	if err := unix.Setrlimit(which, &limit); err != nil {
		t.Fatal(err)
	}
	return limit.Cur
}

// limitFiles makes the disk full for what is longer than that.
func limitFiles(t *testing.T, size uint64) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	setLimit(t, unix.RLIMIT_FSIZE, size)
}
