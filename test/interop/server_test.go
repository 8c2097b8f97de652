//go:build interop

package interop

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what must come.
const patience = time.Minute

// root is the checkout, binary the command that is built from it.
var root, binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "caddysip-interop-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		if root, err = filepath.Abs("../.."); err != nil {
			panic(err)
		}
		binary = filepath.Join(dir, "caddysip")
		build := exec.Command("go", "build", "-o", binary, "./cmd/caddysip")
		build.Dir = root
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "building caddysip: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// server is a caddysip that runs.
type server struct {
	*process
	addr  string // of SIP
	admin string
	file  string // the Caddyfile
}

// start runs a caddysip with a Caddyfile, in which {addr} and {admin} stand for free addresses,
// until the test ends.
func start(t *testing.T, binary, text string) *server {
	t.Helper()
	s := &server{addr: shortAddr(t), admin: freeAddr(t), file: filepath.Join(t.TempDir(), "Caddyfile")}
	s.write(t, text)
	s.process = run(t, exec.Command(binary, "run", "--config", s.file, "--adapter", "caddyfile"))
	s.expect(t, "serving initial configuration")
	t.Cleanup(func() {
		s.stop(t)
		for line := range strings.Lines(s.output()) {
			if strings.Contains(line, `"level":"error"`) && !strings.Contains(line, `"logger":"admin.api"`) || strings.Contains(line, `"level":"panic"`) {
				t.Errorf("the server logs an error: %s", line)
			}
		}
	})
	return s
}

// write puts a text into the server's Caddyfile.
func (s *server) write(t *testing.T, text string) {
	t.Helper()
	text = strings.NewReplacer("{addr}", s.addr, "{port}", port(s.addr), "{admin}", s.admin).Replace(text)
	if err := os.WriteFile(s.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// lamps is what example.Caddyfile has, with an admin endpoint of its own and an access log.
const lamps = `{
	admin {admin}
	persist_config off
	sip {
		{addr} {
			log
			snom_lrc
			register
			proxy
		}
	}
}
`

// metrics returns what the server tells Prometheus.
func (s *server) metrics(t *testing.T) string {
	t.Helper()
	res, err := http.Get("http://" + s.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// metric returns the value of a metric, whose name is given with its labels as Prometheus writes
// them.
func (s *server) metric(t *testing.T, name string) float64 {
	t.Helper()
	text := s.metrics(t)
	for line := range strings.Lines(text) {
		if value, found := strings.CutPrefix(strings.TrimSpace(line), name+" "); found {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("there is no metric %s in:\n%s", name, text)
	return 0
}

// metricOr0 is metric for one that may not be there yet.
func (s *server) metricOr0(t *testing.T, name string) float64 {
	t.Helper()
	if !strings.Contains(s.metrics(t), name+" ") {
		return 0
	}
	return s.metric(t, name)
}

// waitMetric waits until a metric has a value.
func (s *server) waitMetric(t *testing.T, name string, want float64) {
	t.Helper()
	poll(t, fmt.Sprintf("%s %v", name, want), func() bool { return s.metric(t, name) == want })
}

// poll asks until what it waits for is there.
func poll(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("gave up waiting for: %s", what)
		}
	}
}

// process is a program whose output can be waited for.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	done  chan struct{} // closed when it has ended
	err   error         // how

	mu    sync.Mutex
	text  bytes.Buffer
	since int           // of text, what expect looks at
	grown chan struct{} // closed when there is more text
}

// run starts a program in a process group of its own, from which nothing is left when the test
// ends.
func run(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, done: make(chan struct{}), grown: make(chan struct{})}
	if cmd.Env == nil {
		cmd.Env = environment(t)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var err error
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, in
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for r := bufio.NewReader(out); ; {
			line, err := r.ReadString('\n')
			p.mu.Lock()
			p.text.WriteString(line)
			close(p.grown)
			p.grown = make(chan struct{})
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	go func() {
		p.err = cmd.Wait()
		in.Close()
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
		if t.Failed() {
			text := p.output()
			t.Logf("%s:\n%s", strings.Join(cmd.Args, " "), text[max(0, len(text)-4000):])
		}
	})
	return p
}

// environment is this process's, with directories of the test's own for what Caddy stores.
func environment(t *testing.T) []string {
	dir := t.TempDir()
	return append(os.Environ(), "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
}

// output returns what the program has written so far.
func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// expect waits for a text in the output. After say, it is looked for in what came since.
func (p *process) expect(t *testing.T, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience) // go run builds first
	defer cancel()
	for {
		p.mu.Lock()
		found, grown := strings.Contains(p.text.String()[p.since:], text), p.grown
		p.mu.Unlock()
		if found {
			return
		}
		select {
		case <-grown:
		case <-p.done:
			t.Fatalf("%s has ended (%v) and did not say %q", p.cmd.Args[0], p.err, text)
		case <-ctx.Done():
			t.Fatalf("%s does not say %q", p.cmd.Args[0], text)
		}
	}
}

// say gives the program a line.
func (p *process) say(t *testing.T, line string) {
	t.Helper()
	p.mu.Lock()
	p.since = p.text.Len()
	p.mu.Unlock()
	if _, err := io.WriteString(p.stdin, line+"\n"); err != nil {
		t.Fatal(err)
	}
}

// wait waits until the program ends, which must be without an error.
func (p *process) wait(t *testing.T) {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Fatalf("%s does not end", p.cmd.Args[0])
	}
	if p.err != nil {
		t.Errorf("%s: %v", strings.Join(p.cmd.Args, " "), p.err)
	}
}

// stop ends the program in good order.
func (p *process) stop(t *testing.T) {
	t.Helper()
	select {
	case <-p.done:
		t.Errorf("%s has ended by itself: %v", p.cmd.Args[0], p.err)
		return
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.wait(t)
}

// freeAddr returns an address of 127.0.0.1 whose port is free for UDP and TCP.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 100 {
		if l, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
			addr := l.Addr().String()
			c, err := net.ListenPacket("udp", addr)
			l.Close()
			if err == nil {
				c.Close()
				return addr
			}
		}
	}
	t.Fatal("no port is free")
	return ""
}

// shortAddr is freeAddr with a port of four digits: sipsak 0.9.8.1 cuts the fifth.
func shortAddr(t *testing.T) string {
	t.Helper()
	for port := 7000 + os.Getpid()%1000; port < 9999; port++ {
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		c, err := net.ListenPacket("udp", addr)
		l.Close()
		if err == nil {
			c.Close()
			return addr
		}
	}
	t.Fatal("no port is free")
	return ""
}

// port returns the port of an address.
func port(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}
