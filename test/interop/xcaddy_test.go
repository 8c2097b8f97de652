//go:build interop

package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestXcaddy builds Caddy as xcaddy does, with this module and with the handler of docs/handler.md,
// and starts it.
func TestXcaddy(t *testing.T) {
	dir := t.TempDir()
	guide, err := os.ReadFile(filepath.Join(root, "docs/handler.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, handler, _ := strings.Cut(string(guide), "```go\n")
	handler, _, _ = strings.Cut(handler, "```")
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"main.go": `package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	// plug in Caddy modules here
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "example.com/noprefix"
	_ "github.com/caddysip/caddysip"
)

func main() {
	caddycmd.Main()
}
`,
		"go.sum":               string(sums),
		"noprefix/noprefix.go": handler,
		"noprefix/go.mod":      "module example.com/noprefix\n",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	built := filepath.Join(dir, "caddy")
	for _, arguments := range [][]string{
		{"mod", "init", "caddy"},
		{"mod", "edit", "-replace", "github.com/caddysip/caddysip=" + root, "-require", "github.com/caddysip/caddysip@v0.0.0"},
		{"mod", "edit", "-replace", "example.com/noprefix=" + dir + "/noprefix", "-require", "example.com/noprefix@v0.0.0"},
		{"build", "-mod=mod", "-o", built, "."},
	} {
		cmd := exec.Command("go", arguments...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(arguments, " "), err, out)
		}
	}

	listed := caddysip(t, built, "list-modules", "--packages", "--skip-standard")
	for _, id := range []string{
		"sip", "sip.handlers.snom_lrc", "sip.handlers.register", "sip.handlers.proxy", "sip.handlers.respond", "sip.handlers.redirect",
		"sip.handlers.rewrite", "sip.handlers.header", "sip.handlers.vars", "sip.handlers.error", "sip.handlers.log_append",
		"sip.matchers.method", "sip.matchers.user_agent", "sip.matchers.registered", "sip.matchers.expression",
	} {
		if !strings.Contains(listed, id+" github.com/caddysip/caddysip") {
			t.Errorf("there is no module %s in\n%s", id, listed)
		}
	}
	if !strings.Contains(listed, "sip.handlers.no_prefix example.com/noprefix") {
		t.Errorf("the handler of the guide is not in\n%s", listed)
	}

	example, err := os.ReadFile(filepath.Join(root, "example.Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, built, strings.NewReplacer("\tsip {", "\tadmin {admin}\n\tpersist_config off\n\tsip {", ":5060 {", "{addr} {\n\t\t\tno_prefix 0190").Replace(string(example)))
	if out := s.sipsakFails(t, "-vvv", "-s", "sip:01901@"+s.addr); !strings.Contains(out, "SIP/2.0 404 ") {
		t.Errorf("only INVITE has to do with the handler of the guide:\n%s", out)
	}
	if out := s.sipsak(t, "-vvv", "-s", "sip:"+s.addr); !strings.Contains(out, "SIP/2.0 200 OK\r\n") {
		t.Errorf("a ping is not answered with 200:\n%s", out)
	}
}
