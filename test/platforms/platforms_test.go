//go:build platforms

package platforms

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// platforms are those that Go has of linux, windows, darwin and freebsd on amd64, arm64, 386 and
// arm.
var platforms = []string{
	"linux/amd64", "linux/arm64", "linux/386", "linux/arm",
	"freebsd/amd64", "freebsd/arm64", "freebsd/386", "freebsd/arm",
	"windows/amd64", "windows/arm64", "windows/386",
	"darwin/amd64", "darwin/arm64",
}

// listed is a package as go list describes it.
type listed struct {
	Dir, ImportPath, Name string
	GoFiles               []string
	ImportMap             map[string]string
	Module                *struct{ Main bool }
	Error                 *struct{ Err string }
}

// own reports whether the package is one of this module, or a test of one.
func (p *listed) own() bool { return p.Module != nil && p.Module.Main }

func TestPlatforms(t *testing.T) {
	s := &sources{set: token.NewFileSet(), files: make(map[string]*file)}
	for _, platform := range platforms {
		t.Run(platform, func(t *testing.T) {
			t.Parallel()
			checked := 0
			done := make(map[string]*types.Package)
			for _, p := range list(t, platform) {
				if p.Error != nil {
					t.Fatalf("%s: %s", p.ImportPath, p.Error.Err)
				}
				if strings.HasSuffix(p.ImportPath, ".test") {
					continue // the main package of tests, which the go command writes
				}
				pkg, err := s.check(&p, platform, done)
				if err != nil {
					t.Error(err)
				}
				done[p.ImportPath] = pkg
				if p.own() {
					checked++
				}
			}
			if checked < 100 {
				t.Errorf("only %d packages of the module are there", checked)
			}
		})
	}
}

// TestFinds checks that the mistakes that this is for would be found.
func TestFinds(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a.go")
	if err := os.WriteFile(name, []byte("package a\n\nfunc f() int { return 1 << 40 }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &listed{Dir: dir, ImportPath: "a", Name: "a", GoFiles: []string{"a.go"}, Module: &struct{ Main bool }{true}}
	for platform, want := range map[string]string{"linux/amd64": "", "linux/386": "overflows"} {
		s := &sources{set: token.NewFileSet(), files: make(map[string]*file)}
		_, err := s.check(p, platform, nil)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", platform, err)
		}
	}
}

// list returns all packages of the module, their tests and what they import, each behind those that
// it imports.
func list(t *testing.T, platform string) (all []listed) {
	t.Helper()
	system, arch, _ := strings.Cut(platform, "/")
	cmd := exec.Command("go", "list", "-deps", "-test", "-json=Dir,ImportPath,Name,GoFiles,ImportMap,Module,Error",
		"./...")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "GOOS="+system, "GOARCH="+arch, "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// sources are files that have been read, for all platforms.
type sources struct {
	set   *token.FileSet
	mu    sync.Mutex
	files map[string]*file
}

type file struct {
	once sync.Once
	ast  *ast.File
	err  error
}

// read returns a file. Of what is not ours only the declarations are kept.
func (s *sources) read(name string, own bool) (*ast.File, error) {
	s.mu.Lock()
	f := s.files[name]
	if f == nil {
		f = new(file)
		s.files[name] = f
	}
	s.mu.Unlock()
	f.once.Do(func() {
		f.ast, f.err = parser.ParseFile(s.set, name, nil, parser.SkipObjectResolution)
		if f.err != nil || own {
			return
		}
		for _, d := range f.ast.Decls {
			if d, ok := d.(*ast.FuncDecl); ok {
				d.Body = nil
			}
		}
	})
	return f.ast, f.err
}

// check type-checks a package; done has those that it imports. Errors of packages that are not ours
// are passed over: without their functions they are incomplete.
func (s *sources) check(p *listed, platform string, done map[string]*types.Package) (*types.Package, error) {
	if p.ImportPath == "unsafe" {
		return types.Unsafe, nil
	}
	var files []*ast.File
	for _, name := range p.GoFiles {
		if !filepath.IsAbs(name) {
			name = filepath.Join(p.Dir, name)
		}
		f, err := s.read(name, p.own())
		if err != nil && p.own() {
			return nil, err
		}
		if f != nil {
			files = append(files, f)
		}
	}
	_, arch, _ := strings.Cut(platform, "/")
	var errs []error
	config := types.Config{
		Importer:                 importer{p.ImportMap, done},
		Sizes:                    types.SizesFor("gc", arch),
		IgnoreFuncBodies:         !p.own(),
		DisableUnusedImportCheck: !p.own(),
		Error:                    func(err error) { errs = append(errs, err) },
	}
	path, _, _ := strings.Cut(p.ImportPath, " ") // a package with its tests has a longer one
	pkg, _ := config.Check(path, s.set, files, nil)
	if !p.own() || len(errs) == 0 {
		return pkg, nil
	}
	return pkg, fmt.Errorf("%s for %s: %w", p.ImportPath, platform, errors.Join(errs...))
}

// importer finds packages that have been checked.
type importer struct {
	names map[string]string
	done  map[string]*types.Package
}

// Import implements types.Importer.
func (i importer) Import(path string) (*types.Package, error) {
	if name, ok := i.names[path]; ok {
		path = name
	}
	if path == "unsafe" {
		return types.Unsafe, nil
	}
	if p := i.done[path]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("the package %s is not there", path)
}
