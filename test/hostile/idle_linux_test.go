package hostile

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/internal/inside"
)

// crowd is a child process that holds connections to a server, so that the two ends don't share one
// process's descriptors.
type crowd struct {
	t     testing.TB
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Reader
}

// crowdOf says what a process is to connect to, and how often.
const crowdOf = "HOSTILE_CROWD"

// TestCrowd is the process of a crowd; by itself it does nothing.
func TestCrowd(t *testing.T) {
	v := os.Getenv(crowdOf)
	if v == "" {
		return
	}
	var addr string
	var n int
	if _, err := fmt.Sscan(v, &addr, &n); err != nil {
		t.Fatal(err)
	}
	conns := make([]net.Conn, n)
	for i := range conns {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		conns[i] = c
	}
	fmt.Println("connected")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		switch word, text, _ := strings.Cut(lines.Text(), " "); word {
		case "write": // one byte on each
			for _, c := range conns {
				_, _ = c.Write([]byte(text[:1])) // that it is closed is what closed is to find out
			}
			fmt.Println("written")
		case "closed": // how many the server has closed within a time
			closed := 0
			deadline := time.Now().Add(patience)
			for _, c := range conns {
				_ = c.SetReadDeadline(deadline)
				if _, err := io.Copy(io.Discard, c); err == nil || !os.IsTimeout(err) {
					closed++
				}
			}
			fmt.Println("closed", closed)
		}
	}
}

// gather starts a crowd, and returns when all its connections are open.
func gather(t testing.TB, s *handlertest.Server, n int) *crowd {
	t.Helper()
	c := &crowd{t: t, cmd: exec.Command(os.Args[0], "-test.run=^TestCrowd$")}
	c.cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d", crowdOf, s.Addr, n))
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.cmd.Process.Kill() })
	c.lines = bufio.NewReader(out)
	c.expect("connected")
	eventually(t, "all connections to be accepted", func() bool { return len(inside.AppOf(s.App()).Engine.Transport.Conns()) >= n })
	return c
}

func (c *crowd) expect(line string) {
	c.t.Helper()
	if got, err := c.lines.ReadString('\n'); got != line+"\n" {
		c.t.Fatalf("the crowd says %q, %v, want %q", got, err, line)
	}
}

func (c *crowd) tell(command string) {
	c.t.Helper()
	if _, err := io.WriteString(c.stdin, command+"\n"); err != nil {
		c.t.Fatal(err)
	}
}

// leave closes all connections.
func (c *crowd) leave() {
	c.t.Helper()
	c.stdin.Close()
	_, _ = io.Copy(io.Discard, c.lines)
	if err := c.cmd.Wait(); err != nil {
		c.t.Error(err)
	}
}

// inUse is the memory of the process, without garbage.
func inUse() uint64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// served checks that the server serves others over UDP, over an existing connection, and over a new
// one.
func served(t *testing.T, s *handlertest.Server, peers ...*phone) {
	t.Helper()
	connected := tcp(t, s, "new")
	for _, p := range append(peers, udp(t, s, "new"), connected) {
		p.request("OPTIONS", "sip:127.0.0.1")
		p.Expect("SIP/2.0 200")
	}
	connected.Close()
}

// TestIdleConnections opens 10,000 connections and sends nothing on them.
func TestIdleConnections(t *testing.T) {
	const n = 10_000
	if files := setLimit(t, unix.RLIMIT_NOFILE, 1<<20); files < n+200 {
		t.Fatalf("%d open files are allowed, and %d are needed: raise the hard limit (ulimit -Hn)", files, n+200)
	}
	s := handlertest.Start(t, "limits {\nconnections_per_source 20000\n}\nregister\nproxy")
	before := []*phone{udp(t, s, "alice"), tcp(t, s, "bob")}
	served(t, s, before...)
	eventually(t, "the new connection to be closed", func() bool { return len(inside.AppOf(s.App()).Engine.Transport.Conns()) <= 2 })
	goroutines, memory := runtime.NumGoroutine(), inUse()

	c := gather(t, s, n)
	served(t, s, before...)
	each := (int64(inUse()) - int64(memory)) / n
	t.Logf("%d bytes of memory and %.2f goroutines a connection", each, float64(runtime.NumGoroutine()-goroutines)/n)
	if each > 16<<10 {
		t.Errorf("an idle connection takes %d bytes", each)
	}
	if got := runtime.NumGoroutine() - goroutines; got > n+100 {
		t.Errorf("%d goroutines for %d connections", got, n)
	}

	c.leave()
	eventually(t, "all to be released", func() bool { return len(inside.AppOf(s.App()).Engine.Transport.Conns()) <= 4 })
	eventually(t, "their goroutines to end", func() bool { return runtime.NumGoroutine() <= goroutines+10 })
	served(t, s, before...)
}

// TestSlowLoris opens 1,000 connections that send a message byte by byte and never end it: they are
// closed after the message timeout, and others are served meanwhile.
func TestSlowLoris(t *testing.T) {
	const n = 1000
	s := handlertest.Start(t, "limits {\nmessage_timeout 2s\n}\nregister\nproxy")
	alice, bob := udp(t, s, "alice"), tcp(t, s, "bob")
	timeouts := func() float64 { return s.Metric("caddy_sip_dropped_total", "reason=message_timeout") }
	before := timeouts()
	c := gather(t, s, n)
	for i := 0; len(inside.AppOf(s.App()).Engine.Transport.Conns()) > 10; i++ {
		c.tell("write " + "OPTIONS sip:127.0.0.1 SIP/2.0"[i%29:i%29+1])
		c.expect("written")
		served(t, s, alice, bob)
	}
	c.tell("closed")
	c.expect(fmt.Sprint("closed ", n))
	c.leave()
	if got := timeouts() - before; got != n {
		t.Errorf("%v were counted, want %d", got, n)
	}
	served(t, s, alice, bob)
}
