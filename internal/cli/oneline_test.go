package cli

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddysip/caddysip/caddyfile"
)

// TestMain runs Caddy's commands instead of the tests when a test asks for that.
func TestMain(m *testing.M) {
	if os.Getenv("CADDYSIP_TEST_MAIN") != "" {
		caddycmd.Main()
	}
	os.Exit(m.Run())
}

func TestOneLine(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"key 1 { label x; number 9 }": "; write this in three lines: key 1 { ⏎ label x; number 9 ⏎ }",
		"\tkey 1 { label \"{ }\" }":   "",
		"key 1 { label x":             "",
		"key 1 { label { x } }":       "",
	} {
		file := filepath.Join(dir, "Caddyfile")
		if err := os.WriteFile(file, []byte("{\nsip {\nkeys {\nprofile a {\n"+text+"\n}\n}\n}\n}\n"),
			0o600); err != nil {
			t.Fatal(err)
		}
		content, _ := os.ReadFile(file)
		_, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(content, map[string]any{"filename": file})
		want = file + ":5: the line ends behind {, and } has a line of its own" + want
		if got := oneLine(err); got != want {
			t.Errorf("%s: %q, want %q (%v)", text, got, want, err)
		}
	}
	for _, err := range []error{nil, errors.New("wrong, at Caddyfile:3")} {
		if got := oneLine(err); got != "" {
			t.Errorf("%v: %q", err, got)
		}
	}
	if got := oneLine(errors.New("Unexpected next token after '{' on same line, at nowhere:7")); got == "" {
		t.Error("nothing is said of a file that can't be read")
	}
}

// TestOneLineCommand validates a Caddyfile with a block in one line, as a user does.
func TestOneLineCommand(t *testing.T) {
	file := filepath.Join(t.TempDir(), "Caddyfile")
	if err := os.WriteFile(file, []byte("{\nsip {\n:5060 { register }\n}\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "adapt", "--config", file)
	cmd.Env = append(os.Environ(), "CADDYSIP_TEST_MAIN=1", "XDG_DATA_HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if want := "write this in three lines: :5060 { ⏎ register ⏎ }"; err == nil || !strings.Contains(string(out), want) {
		t.Errorf("%v\n%s\nwant %s", err, out, want)
	}
}
