//go:build interop

package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// command returns the command of the README's that starts with a text.
func command(t *testing.T, start string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for i, block := range strings.Split(string(text), "```") {
		if i%2 == 0 || !strings.HasPrefix(block, "sh\n") {
			continue
		}
		for line := range strings.Lines(block) {
			if strings.HasPrefix(line, start) {
				return strings.TrimSpace(line)
			}
		}
	}
	t.Fatalf("the README has no command that starts with %q", start)
	return ""
}

// shell runs a command as somebody would who types it in the checkout.
func shell(t *testing.T, line string) *process {
	t.Helper()
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir = root
	return run(t, cmd)
}

// TestNewcomer does what the README has somebody do who is new: it starts the server and a phone in
// two terminals. The commands and the configuration are those of the README but for the ports,
// which somebody else may have.
func TestNewcomer(t *testing.T) {
	const example = "example.Caddyfile"
	text, err := os.ReadFile(filepath.Join(root, example))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), example)
	sip := ":" + port(freeAddr(t))
	ports := strings.NewReplacer(":5060", sip, example, file)
	config := strings.Replace(string(text), "\tsip {", "\tadmin "+freeAddr(t)+"\n\tsip {", 1)
	if err := os.WriteFile(file, []byte(ports.Replace(config)), 0o600); err != nil {
		t.Fatal(err)
	}
	server := shell(t, ports.Replace(command(t, "go run ./cmd/caddysip run ")))
	server.expect(t, "serving initial configuration")
	dial := ports.Replace(command(t, "go run ./cmd/caddysip snom "))
	for what, line := range map[string]string{"the server": ports.Replace(config), "the phone": dial} {
		if !strings.Contains(line, sip) {
			t.Fatalf("the port of %s is not that of the README", what)
		}
	}
	for _, tr := range []string{"udp", "tcp"} {
		t.Run(tr, func(t *testing.T) {
			line := dial
			if tr != "udp" {
				line += " --transport " + tr
			}
			phone := shell(t, line)
			phone.expect(t, "registered as 101")
			phone.expect(t, "404 Not a call")
			phone.expect(t, "key P2  ● hold ")
			phone.say(t, "press 2")
			phone.expect(t, "key P2  ○ off ")
			for i, light := range lights {
				if light == "off" {
					continue // it is off already
				}
				phone.say(t, fmt.Sprintf("dial %d", 431+i))
				phone.expect(t, fmt.Sprintf("key P2  ● %-7s", light))
				phone.expect(t, fmt.Sprintf(`"Light is %s"  → 432 (invite)`, light))
			}

			second := shell(t, strings.Replace(strings.Replace(line, "--user 101", "--user 102", 1), " --dial 433", "", 1))
			second.expect(t, "registered as 102")
			phone.say(t, "dial 102")
			second.expect(t, "101 calls: answer or hangup")
			second.say(t, "answer")
			phone.expect(t, "call with 102: 200 OK")
			phone.say(t, "hangup")
			second.expect(t, "call with 101: ended")
			for _, p := range []*process{second, phone} {
				p.say(t, "quit")
				p.expect(t, "unregistered")
				p.wait(t)
			}
		})
	}
}

// caddysip runs the built command to its end, which must be a success, and returns its output.
func caddysip(t *testing.T, binary string, arguments ...string) string {
	t.Helper()
	cmd := exec.Command(binary, arguments...)
	cmd.Dir, cmd.Env = root, environment(t)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("caddysip %s: %v\n%s", strings.Join(arguments, " "), err, out)
	}
	return string(out)
}

// TestCommands runs Caddy's commands with the example.
func TestCommands(t *testing.T) {
	caddysip(t, binary, "fmt", "--diff", "example.Caddyfile")
	caddysip(t, binary, "validate", "--config", "example.Caddyfile")
	if out := caddysip(t, binary, "adapt", "--config", "example.Caddyfile", "--validate"); !strings.Contains(out, `"handler":"snom_lrc"`) {
		t.Errorf("adapt gives %s", out)
	}
	if want := "go build ./cmd/caddysip"; command(t, "go build ") != want {
		t.Errorf("what is tested here was built with %q", want)
	}
}

// TestMetrics looks for the metrics that the README names, once there is something to count.
func TestMetrics(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("`(caddy_sip_[a-z_]+)`").FindAllStringSubmatch(string(readme), -1)
	if len(names) < 3 {
		t.Fatalf("the README names the metrics %v", names)
	}
	s := start(t, binary, lamps)
	s.sipsak(t, "-s", "sip:"+s.addr)
	metrics := s.metrics(t)
	for _, name := range names {
		if !strings.Contains(metrics, "# TYPE "+name[1]+" ") {
			t.Errorf("there is no metric %s in\n%s", name[1], metrics)
		}
	}
}
