package mutation

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var mutate = flag.Bool("mutate", false, "make the changes of mutations.txt, and run the tests that must fail for them")

const root = "../.."

// change is an entry of mutations.txt.
type change struct {
	name   string
	dir    string   // of the package that is changed
	test   []string // arguments of go test
	before []string // lines
	after  []string
}

// changes reads mutations.txt.
func changes(t *testing.T) []*change {
	t.Helper()
	text, err := os.ReadFile("mutations.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []*change
	names := make(map[string]bool)
	for n, line := range strings.Split(string(text), "\n") {
		kind, rest, _ := strings.Cut(line, " ")
		rest = strings.TrimSpace(rest)
		if kind == "#" {
			if names[rest] {
				t.Fatalf("mutations.txt:%d: there are two entries of that name", n+1)
			}
			names[rest] = true
			all = append(all, &change{name: rest})
			continue
		}
		if line == "" {
			continue
		}
		if len(all) == 0 {
			t.Fatalf("mutations.txt:%d: an entry begins with its name, after a #", n+1)
		}
		switch c := all[len(all)-1]; kind {
		case "in":
			c.dir, c.test = rest, []string{"./" + rest}
		case "test":
			c.test = strings.Fields(rest)
		case "-":
			c.before = append(c.before, rest)
		case "+":
			c.after = append(c.after, rest)
		default:
			t.Fatalf("mutations.txt:%d: a line begins with #, in, test, - or +, and a space", n+1)
		}
	}
	return all
}

// apply returns the file that a change is made in, and what it then has in it.
func (c *change) apply() (file string, text []byte, err error) {
	before, after := strings.Join(c.before, "\n"), strings.Join(c.after, "\n")
	if c.dir == "" || before == "" || before == after {
		return "", nil, fmt.Errorf("the entry needs a package, and a text to replace with another")
	}
	files, err := filepath.Glob(filepath.Join(root, c.dir, "*.go"))
	if err != nil {
		return "", nil, err
	}
	found := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return "", nil, err
		}
		code, places := codeOf(string(content))
		if n := strings.Count(code, before); n > 0 {
			found += n
			file = name
			at := strings.Index(code, before)
			start, end := places[at], places[at+len(before)-1]+1
			text = slices.Concat(content[:start], []byte(after), content[end:])
		}
	}
	if found != 1 {
		return "", nil, fmt.Errorf("the text to replace is in %s %d times, not once:\n%s", c.dir, found, before)
	}
	return file, text, nil
}

// codeOf returns a source file without indentation, empty lines and comments, which often change,
// and the place in the file of each byte of that.
func codeOf(file string) (code string, places []int) {
	var b strings.Builder
	start := 0
	for line := range strings.Lines(file) {
		text, _, _ := strings.Cut(line, " // ")
		text = strings.TrimSpace(text)
		if text != "" && !strings.HasPrefix(text, "//") {
			indent := strings.Index(line, text)
			b.WriteString(text + "\n")
			for i := range len(text) + 1 {
				places = append(places, start+indent+i)
			}
		}
		start += len(line)
	}
	return b.String(), places
}

// goTest runs tests in the root of the module, and returns what they print.
func goTest(arguments ...string) (output string, passed bool) {
	cmd := exec.Command("go", append([]string{"test", "-vet=off", "-failfast", "-timeout", "5m"}, arguments...)...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

// TestApply keeps mutations.txt in step with the sources: every change must find its place.
func TestApply(t *testing.T) {
	for _, c := range changes(t) {
		if _, _, err := c.apply(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestSurvivors makes the changes, one at a time, and runs the tests, which must fail.
func TestSurvivors(t *testing.T) {
	if !*mutate {
		t.Skip("takes long: -mutate")
	}
	unchanged := make(map[string]bool) // tests that pass when nothing is changed
	for _, c := range changes(t) {
		t.Run(c.name, func(t *testing.T) {
			if tests := strings.Join(c.test, " "); !unchanged[tests] {
				if output, passed := goTest(c.test...); !passed || noTests(output) {
					t.Fatalf("without the change, go test %s should pass:\n%s", tests, output)
				}
				unchanged[tests] = true
			}
			c.check(t)
		})
	}
}

// noTests reports whether go test has found nothing to run in a package.
func noTests(output string) bool {
	return strings.Contains(output, "[no tests to run]") || strings.Contains(output, "[no test files]")
}

// check runs the tests with one change.
func (c *change) check(t *testing.T) {
	file, text, err := c.apply()
	if err != nil {
		t.Fatal(err)
	}
	if file, err = filepath.Abs(file); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	changed, overlay := filepath.Join(dir, "changed.go"), filepath.Join(dir, "overlay.json")
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{file: changed}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{changed: text, overlay: replace} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	output, passed := goTest(append([]string{"-overlay", overlay}, c.test...)...)
	switch {
	case passed:
		t.Errorf("it survives go test %s:\n- %s\n+ %s", strings.Join(c.test, " "),
			strings.Join(c.before, "\n- "), strings.Join(c.after, "\n+ "))
	case strings.Contains(output, "[build failed]") || strings.Contains(output, "[setup failed]"):
		t.Errorf("it does not compile:\n%s", output)
	}
}
