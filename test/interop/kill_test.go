//go:build interop

package interop

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddysip/caddysip/handler/handlertest"
)

var rounds = flag.Int("rounds", 3, "how often TestKill kills the server")

// keeping is what a phone may count on: what was acknowledged that long before the server is killed
// is not lost.
const keeping = time.Second

// victim is a server that is killed and started again with the same file.
type victim struct {
	*server
	dir string // where it keeps what it stores
}

func newVictim(t *testing.T) *victim {
	t.Helper()
	v := &victim{server: &server{addr: shortAddr(t), admin: freeAddr(t), file: filepath.Join(t.TempDir(), "Caddyfile")}, dir: t.TempDir()}
	v.write(t, strings.Replace(lamps, "\t\t\tlog\n", "", 1))
	v.launch(t)
	return v
}

func (v *victim) launch(t *testing.T) {
	t.Helper()
	cmd := exec.Command(binary, "run", "--config", v.file, "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+v.dir, "XDG_CONFIG_HOME="+v.dir)
	v.process = run(t, cmd)
	v.expect(t, "serving initial configuration")
}

// kill ends the server with no time to do anything, and tells when.
func (v *victim) kill(t *testing.T) time.Time {
	t.Helper()
	now := time.Now()
	if err := v.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-v.done
	return now
}

// TestKill kills the server with SIGKILL again and again while thousands of phones a second
// register, renew and unregister. Whoever was told so a second or more before is registered
// afterwards, and can be called; whoever has unregistered stays away.
func TestKill(t *testing.T) {
	v := newVictim(t)
	f := newFleet(t, v.addr)
	var total tally
	for round := range *rounds {
		f.load(t, time.Duration(1200+rand.IntN(2000))*time.Millisecond, v.kill)
		v.launch(t)
		got := f.check(t, f.ended.Add(-keeping))
		f.call(t, 40)
		t.Logf("round %d: %v", round+1, got)
		total.add(got)
	}
	t.Logf("all of %d rounds: %v", *rounds, total)
	if total.old < 1000**rounds {
		t.Errorf("only %d were acknowledged %v or more before", total.old, keeping)
	}
	v.stop(t)
}

// TestStopLosesNothing stops the server with SIGTERM in the middle of the same: what was
// acknowledged is kept, however short before.
func TestStopLosesNothing(t *testing.T) {
	v := newVictim(t)
	f := newFleet(t, v.addr)
	for range 3 {
		f.load(t, time.Duration(300+rand.IntN(1000))*time.Millisecond, func(t *testing.T) time.Time {
			now := time.Now()
			if err := v.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			v.wait(t)
			return now
		})
		v.launch(t)
		got := f.check(t, time.Now())
		f.call(t, 10)
		t.Logf("%v", got)
	}
	v.stop(t)
}

// tally is what a check has found.
type tally struct {
	acknowledged int           // answered with 200 in the round
	old          int           // users whose latest 200 was early enough to count on
	lost         int           // of those
	recent       int           // lost, but acknowledged too late to count on
	oldest       time.Duration // how long before the end the oldest of what was lost was acknowledged
}

func (s *tally) add(o tally) {
	s.acknowledged += o.acknowledged
	s.old += o.old
	s.lost += o.lost
	s.recent += o.recent
	s.oldest = max(s.oldest, o.oldest)
}

func (s tally) String() string {
	return fmt.Sprintf("%d acknowledged; %d users to count on, %d of them lost; %d others lost, the oldest after %v",
		s.acknowledged, s.old, s.lost, s.recent, s.oldest.Round(time.Millisecond))
}

// dial makes a socket that sends to an address.
func dial(t *testing.T, addr string) *net.UDPConn {
	t.Helper()
	to, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: to.IP})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetReadBuffer(4 << 20)
	return c
}

// receive returns the next message that comes before a deadline.
func receive(c *net.UDPConn, deadline time.Time) (handlertest.Message, error) {
	var buf [4096]byte
	if err := c.SetReadDeadline(deadline); err != nil {
		return handlertest.Message{}, err
	}
	n, from, err := c.ReadFrom(buf[:])
	return handlertest.Message{Text: string(buf[:n]), From: from}, err
}
