//go:build interop

package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddysip/caddysip/handler/handlertest"
)

// transport is how SIPp is told to send: UDP or TCP, with one socket.
type transport struct{ name, option string }

var (
	udp = transport{"UDP", "u1"}
	tcp = transport{"TCP", "t1"}
)

// sipp is a SIPp that runs.
type sipp struct {
	*process
	log string // of all messages
}

// sipp starts SIPp with a scenario of the folder sipp, bound to a port of 127.0.0.1.
func (s *server) sipp(t *testing.T, scenario, port string, tr transport, options ...string) *sipp {
	t.Helper()
	dir := t.TempDir()
	p := &sipp{log: filepath.Join(dir, "messages.log")}
	errors := filepath.Join(dir, "errors.log")
	args := []string{s.addr, "-sf", scenarioFile(scenario), "-i", "127.0.0.1", "-p", port, "-t", tr.option, "-nostdin",
		"-watchdog_interval", "0", // it ends by itself when it gets too little of the processor
		"-timeout", fmt.Sprintf("%.0fs", patience.Seconds()), "-timeout_error",
		"-trace_msg", "-message_file", p.log, "-trace_err", "-error_file", errors}
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		for _, file := range []string{errors, p.log} {
			if text, err := os.ReadFile(file); err == nil {
				t.Logf("%s, %s:\n%s", scenario, filepath.Base(file), text[max(0, len(text)-8000):])
			}
		}
	})
	p.process = run(t, exec.Command("sipp", append(args, options...)...))
	return p
}

func scenarioFile(name string) string { return filepath.Join(root, "test/interop/sipp", name) }

// bound waits until SIPp listens.
func (p *sipp) bound(t *testing.T, port string, tr transport) {
	t.Helper()
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	local := fmt.Sprintf(":%04X ", n)
	poll(t, "SIPp listens on "+port, func() bool {
		text, err := os.ReadFile("/proc/net/" + strings.ToLower(tr.name))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			// sl  local_address  rem_address   st: 0A is LISTEN
			f := strings.Fields(line)
			if len(f) > 3 && strings.HasSuffix(f[1]+" ", local) && (tr == udp || f[3] == "0A") {
				return true
			}
		}
		return false
	})
}

// entry is how SIPp writes a message to its log; the message follows.
var entry = regexp.MustCompile(`(?:UDP|TCP) message (sent|received) [\[(](\d+)\]? bytes\)? ?:\n\n`)

// messages returns what SIPp has sent or received, in this order.
func (p *sipp) messages(t *testing.T, which string) []handlertest.Message {
	t.Helper()
	text, err := os.ReadFile(p.log)
	if err != nil {
		t.Fatal(err)
	}
	var all []handlertest.Message
	for {
		at := entry.FindSubmatchIndex(text)
		if at == nil {
			return all
		}
		length, _ := strconv.Atoi(string(text[at[4]:at[5]]))
		length = min(length, len(text)-at[1])
		if string(text[at[2]:at[3]]) == which {
			all = append(all, handlertest.Message{Text: string(text[at[1] : at[1]+length])})
		}
		text = text[at[1]+length:]
	}
}

// received returns those messages that SIPp has received which start with a text, without
// retransmissions.
func (p *sipp) received(t *testing.T, start string) []handlertest.Message {
	t.Helper()
	var some []handlertest.Message
	for _, m := range p.messages(t, "received") {
		if strings.HasPrefix(m.Text, start) && !slices.Contains(some, m) {
			some = append(some, m)
		}
	}
	return some
}

// register lets SIPp register a user with a Contact of that port.
func (s *server) register(t *testing.T, user, port string, tr transport) {
	t.Helper()
	s.sipp(t, "register.xml", port, tr, "-s", user, "-m", "1").wait(t)
}
