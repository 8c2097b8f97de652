package caddysip_test

import (
	"bytes"
	"encoding/json"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/handler/handlertest"
)

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// documents returns what there is to read, but for the files of the benchmarks.
func documents(t *testing.T) []string {
	t.Helper()
	var files []string
	for _, glob := range []string{"*.md", "docs/*.md", "handler/*/README.md", "module/*/README.md"} {
		found, err := filepath.Glob(glob)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v, %v", glob, found, err)
		}
		files = append(files, found...)
	}
	return files
}

// blocks returns a document's blocks in a language, but for those that describe a syntax.
func blocks(text, language string) (found []string) {
	for section := range strings.SplitSeq("\n"+text, "\n## ") {
		if strings.HasPrefix(section, "Syntax\n") {
			continue
		}
		for i, block := range strings.Split(section, "\n```") {
			if b, ok := strings.CutPrefix(block, language+"\n"); ok && i%2 == 1 {
				found = append(found, b+"\n")
			}
		}
	}
	return found
}

// load adapts a Caddyfile and loads what comes out, as caddysip validate does.
func load(t *testing.T, text string) []byte {
	t.Helper()
	adapted := handlertest.Adapt(t, text)
	validate(t, adapted)
	return adapted
}

func validate(t *testing.T, text []byte) {
	t.Helper()
	var config caddy.Config
	if err := caddy.StrictUnmarshalJSON(text, &config); err != nil {
		t.Fatal(err)
	}
	config.Admin = &caddy.AdminConfig{Disabled: true}
	config.Logging = &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{Level: "ERROR"}}}}
	if err := caddy.Validate(&config); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
}

// TestDocumentedCaddyfiles loads every Caddyfile that is shown somewhere. What is no whole one
// stands in a server's block.
func TestDocumentedCaddyfiles(t *testing.T) {
	for _, file := range documents(t) {
		if file == "docs/handler.md" {
			continue // with a handler that is not ours: TestHandlerDocumentation
		}
		for _, text := range blocks(read(t, file), "caddyfile") {
			t.Run(file, func(t *testing.T) {
				if strings.HasPrefix(text, "{\n") {
					if formatted := caddyfile.Format([]byte(text)); string(formatted) != text {
						t.Errorf("not formatted as caddysip fmt does it:\n%s", formatted)
					}
				} else {
					text = "{\nsip {\n:5060 {\n" + text + "\n}\n}\n}\n"
				}
				load(t, text)
			})
		}
	}
}

// TestPackageExamples loads the Caddyfiles in the comments of the packages that provide directives
// and storages, as TestDocumentedCaddyfiles does those in documents.
func TestPackageExamples(t *testing.T) {
	files, err := filepath.Glob("handler/*/doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, "caddyfile/doc.go", "module/match/doc.go", "module/storage/doc.go") {
		if strings.Contains(file, "handlertest") {
			continue // Go
		}
		t.Run(file, func(t *testing.T) {
			var example strings.Builder
			for line := range strings.Lines(read(t, file)) {
				if code, ok := strings.CutPrefix(line, "//\t"); ok {
					example.WriteString(code)
				}
			}
			switch text := example.String(); {
			case text == "":
				t.Error("there is no example")
			case strings.HasPrefix(text, "{\n"):
				load(t, text)
			default:
				load(t, "{\nsip {\n:5060 {\n"+text+"}\n}\n}\n")
			}
		})
	}
}

// TestDocumentedJSON loads every configuration in JSON that is shown somewhere.
func TestDocumentedJSON(t *testing.T) {
	for _, file := range documents(t) {
		for _, text := range blocks(read(t, file), "json") {
			t.Run(file, func(t *testing.T) { validate(t, []byte(text)) })
		}
	}
}

// TestAdapt adapts the example, and the tutorial with every default written out.
func TestAdapt(t *testing.T) {
	for input, output := range map[string]string{
		"example.Caddyfile":           "testdata/example.json",
		"testdata/tutorial.Caddyfile": "testdata/tutorial.json",
	} {
		t.Run(input, func(t *testing.T) {
			var got, want bytes.Buffer
			var config struct {
				Apps json.RawMessage `json:"apps"`
			}
			if err := json.Unmarshal(load(t, read(t, input)), &config); err != nil {
				t.Fatal(err)
			}
			if err := json.Indent(&got, config.Apps, "", "\t"); err != nil {
				t.Fatal(err)
			}
			want.WriteString(strings.TrimSpace(read(t, output)))
			if got.String() != want.String() {
				t.Errorf("got\n%s\nwant\n%s", &got, &want)
			}
		})
	}
}

// TestExample compares the README's first configuration with the file that it says it is.
func TestExample(t *testing.T) {
	var lines []string
	for line := range strings.Lines(read(t, "example.Caddyfile")) {
		if trimmed := strings.TrimSpace(line); trimmed != "" && !strings.HasPrefix(trimmed, "#") {
			lines = append(lines, line)
		}
	}
	if got, want := blocks(read(t, "README.md"), "caddyfile")[0], strings.Join(lines, ""); got != want {
		t.Errorf("the README shows\n%s\nexample.Caddyfile is\n%s", got, want)
	}
}

// TestGoVersion compares the version of Go that the README asks for with what the module needs.
func TestGoVersion(t *testing.T) {
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "go.mod"))
	if version == nil || !strings.Contains(read(t, "README.md"), "You need Go "+version[1]+".") {
		t.Errorf("the README does not ask for the Go of go.mod: %v", version)
	}
}

// TestModules looks the README's table of directives up in what Caddy knows, and the other way
// round.
func TestModules(t *testing.T) {
	readme := read(t, "README.md")
	for _, info := range caddy.GetModules("sip.handlers") {
		if name := info.ID.Name(); name != "subroute" && name != "invoke" && !strings.Contains(readme, "["+name+"](handler/") {
			t.Errorf("the README says nothing about the directive %s", name)
		}
	}
	for _, match := range regexp.MustCompile(`\[(\w+)\]\(handler/`).FindAllStringSubmatch(readme, -1) {
		if _, err := caddy.GetModule("sip.handlers." + match[1]); err != nil {
			t.Errorf("the README describes a directive that is not there: %v", err)
		}
	}
}

// TestLinks follows the links between documents.
func TestLinks(t *testing.T) {
	links := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	for _, file := range documents(t) {
		for _, match := range links.FindAllStringSubmatch(read(t, file), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), match[1])); err != nil {
				t.Errorf("%s links to %s: %v", file, match[1], err)
			}
		}
	}
}

// TestHandlerDocumentation compiles the handler of docs/handler.md as it stands there, and runs its
// test with the configuration that stands below it.
func TestHandlerDocumentation(t *testing.T) {
	text := read(t, "docs/handler.md")
	code := []byte(blocks(text, "go")[0])
	if formatted, err := format.Source(code); err != nil || !bytes.Equal(formatted, code) {
		t.Errorf("not formatted as gofmt does it: %v\n%s", err, formatted)
	}
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	handler, err := filepath.Abs("testdata/noprefix/noprefix.go")
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{
		handler: write("noprefix.go", code),
	}})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "test", "-overlay", write("overlay.json", overlay), "./testdata/noprefix")
	cmd.Env = append(os.Environ(), "CADDYFILE="+write("Caddyfile", []byte(blocks(text, "caddyfile")[0])))
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.HasPrefix(out, []byte("ok ")) {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestDependencies compares the table of docs/dependencies.md with what go.mod requires directly.
func TestDependencies(t *testing.T) {
	table, _, _ := strings.Cut(read(t, "docs/dependencies.md"), "\n## ")
	required := regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(read(t, "go.mod"), -1)
	if len(required) < 5 {
		t.Fatalf("go.mod requires %v: is the test still right?", required)
	}
	for _, m := range required {
		if !strings.Contains(table, "| `"+m[1]+"` |") {
			t.Errorf("docs/dependencies.md does not say what %s is for", m[1])
		}
	}
	if rows := strings.Count(table, "\n| `"); rows != len(required) {
		t.Errorf("docs/dependencies.md has %d modules, go.mod requires %d", rows, len(required))
	}
}
