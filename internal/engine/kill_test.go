package engine

import (
	"bufio"
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/storage"
)

// killFile names the file of the process that is to be killed.
const killFile = "CADDYSIP_TEST_KILL_FILE"

// TestKill kills a server with SIGKILL in the middle of its work. Each registration that it said to
// be in the file is there, and the file can be used.
func TestKill(t *testing.T) {
	if path := os.Getenv(killFile); path != "" {
		registerForEver(t, path)
		return
	}
	path := filepath.Join(t.TempDir(), "sip.db")
	written := map[string]uint32{} // the CSeq that was said to be in the file
	for round := range 3 {
		child := exec.Command(os.Args[0], "-test.run=^TestKill$")
		child.Env = append(os.Environ(), killFile+"="+path)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		after := 1000 + rand.IntN(5000)
		for n := 0; lines.Scan(); n++ {
			var aor string
			var cseq uint32
			if _, err := fmt.Sscan(lines.Text(), &aor, &cseq); err != nil {
				t.Errorf("the server says %q", lines.Text())
				break
			}
			written[aor] = cseq
			if n == after {
				break
			}
		}
		_ = child.Process.Kill()
		for lines.Scan() { // until it is dead
		}
		if err := child.Wait(); err == nil || child.ProcessState.Exited() {
			t.Fatalf("round %d: the server ended by itself: %v", round, err)
		}

		e := newEngine(t)
		g := mustAttach(t, e, stored(file(path)))
		for aor, cseq := range written {
			b := e.Location.Lookup([]byte(aor), nil)
			if len(b) != 1 || b[0].CSeq() < cseq || b[0].Source() != phoneFlow.Remote {
				t.Fatalf("round %d: %s has %d bindings, want one of CSeq %d", round, aor, len(b), cseq)
			}
		}
		e.Detach(g)
	}
	if len(written) < 1000 {
		t.Fatalf("only %d users were written", len(written))
	}
}

// registerForEver registers users, and says what the file has of them.
func registerForEver(t *testing.T, path string) {
	e := New()
	mustAttach(t, e, stored(file(path)))
	_, from := e.Location.Len()
	_, now, err := tail(t, e.Storage())
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		err := e.Storage().Watch(t.Context(), bucketRegistrations, now, func(ev storage.Event) error {
			list, err := location.ParseStored(ev.Key, ev.Value)
			for i := range list {
				_, printed := fmt.Fprintln(os.Stdout, list[i].AOR, list[i].CSeq)
				err = cmp.Or(err, printed)
			}
			return err
		})
		t.Errorf("watching: %v", err)
	}()
	// In the next round numbers are higher, as those of a phone are.
	ticks := time.NewTicker(time.Millisecond)
	for cseq := int(time.Now().UnixMilli() % 1e9); ; cseq++ {
		for i := range 2000 {
			if i%10 == 0 {
				<-ticks.C
			}
			register(t, e, fmt.Sprintf("user%05d", from/2+i), cseq, time.Hour)
		}
	}
}

// tail returns how many keys there are and the revision.
func tail(t *testing.T, s storage.Engine) (n int, revision uint64, err error) {
	revision, err = s.Range(t.Context(), bucketRegistrations, "", func(storage.Entry) error {
		n++
		return nil
	})
	return n, revision, err
}
