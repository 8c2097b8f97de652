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
	before []string // lines without their indentation
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
	if c.dir == "" || len(c.before) == 0 || slices.Equal(c.before, c.after) {
		return "", nil, fmt.Errorf("the entry needs a package, and lines to replace with others")
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
		lines := strings.Split(string(content), "\n")
		code := codeOf(lines)
		for i := range len(code) - len(c.before) + 1 {
			place := code[i : i+len(c.before)]
			if !slices.EqualFunc(place, c.before, func(l line, want string) bool { return l.text == want }) {
				continue
			}
			found++
			file = name
			changed := slices.Concat(lines[:place[0].n], c.after, lines[place[len(place)-1].n+1:])
			text = []byte(strings.Join(changed, "\n"))
		}
	}
	if found != 1 {
		return "", nil, fmt.Errorf("the lines to replace are in %s %d times, not once:\n%s",
			c.dir, found, strings.Join(c.before, "\n"))
	}
	return file, text, nil
}

// line is a line of a source file.
type line struct {
	n    int // its place
	text string
}

// codeOf returns the lines that have code, without indentation and comments, which often change.
func codeOf(lines []string) (code []line) {
	for n, text := range lines {
		text, _, _ = strings.Cut(text, " // ")
		if text = strings.TrimSpace(text); text != "" && !strings.HasPrefix(text, "//") {
			code = append(code, line{n, text})
		}
	}
	return code
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
				if output, passed := goTest(c.test...); !passed || strings.Contains(output, "no tests to run") {
					t.Fatalf("without the change, go test %s should pass:\n%s", tests, output)
				}
				unchanged[tests] = true
			}
			c.check(t)
		})
	}
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
