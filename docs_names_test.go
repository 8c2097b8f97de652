package caddysip_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// tree is what is declared in the repository, as documents name it: package.Name and
// package.Type.Name, of methods and fields too, exported or not. Packages of the same name are one.
type tree struct {
	packages map[string]bool
	names    map[string][]string // the files that each is declared in
	locks    []string            // the fields and variables that are mutexes, of what serves
}

// parseTree reads the files that are not tests.
func parseTree(t *testing.T) *tree {
	t.Helper()
	tr := &tree{packages: make(map[string]bool), names: make(map[string][]string)}
	for dir, files := range goFiles(t, ".") {
		serves := regexp.MustCompile(`^(internal|module|handler|caddyfile|storage|wire)(/|$)`).MatchString(dir) &&
			!regexp.MustCompile(`^internal/(phone|cli)|test$`).MatchString(dir)
		for _, name := range files {
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			pkg := file.Name.Name
			tr.packages[pkg] = true
			for _, d := range file.Decls {
				tr.declare(filepath.ToSlash(name), pkg, d, serves)
			}
		}
	}
	return tr
}

func (tr *tree) declare(file, pkg string, d ast.Decl, serves bool) {
	add := func(name string) { tr.names[name] = append(tr.names[name], file) }
	switch d := d.(type) {
	case *ast.FuncDecl:
		prefix := pkg + "."
		if d.Recv != nil {
			prefix += baseName(d.Recv.List[0].Type) + "."
		}
		add(prefix + d.Name.Name)
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				add(pkg + "." + spec.Name.Name)
				tr.members(add, pkg+"."+spec.Name.Name, spec.Type, serves)
			case *ast.ValueSpec:
				for i, n := range spec.Names {
					add(pkg + "." + n.Name)
					if i < len(spec.Values) && serves && hasLock(spec.Values[i]) {
						tr.locks = append(tr.locks, pkg+"."+n.Name)
					}
				}
			}
		}
	}
}

// members declares the fields of a struct and the methods of an interface.
func (tr *tree) members(add func(string), of string, typ ast.Expr, serves bool) {
	var fields *ast.FieldList
	switch typ := typ.(type) {
	case *ast.StructType:
		fields = typ.Fields
	case *ast.InterfaceType:
		fields = typ.Methods
	default:
		return
	}
	for _, f := range fields.List {
		for _, n := range f.Names {
			add(of + "." + n.Name)
			if serves && isLock(f.Type) {
				tr.locks = append(tr.locks, of+"."+n.Name)
			}
		}
	}
}

// isLock reports whether a type is a mutex, or an array of them.
func isLock(typ ast.Expr) bool {
	if array, ok := typ.(*ast.ArrayType); ok {
		typ = array.Elt
	}
	s, ok := typ.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := s.X.(*ast.Ident)
	return ok && pkg.Name == "sync" && (s.Sel.Name == "Mutex" || s.Sel.Name == "RWMutex")
}

// hasLock reports whether a value is of a struct that has a mutex in it and no name.
func hasLock(value ast.Expr) bool {
	literal, ok := value.(*ast.CompositeLit)
	if !ok {
		return false
	}
	s, ok := literal.Type.(*ast.StructType)
	if !ok {
		return false
	}
	for _, f := range s.Fields.List {
		if isLock(f.Type) {
			return true
		}
	}
	return false
}

// baseName returns the name of a receiver's type.
func baseName(expr ast.Expr) string {
	switch e := expr.(type) {
	case *ast.StarExpr:
		return baseName(e.X)
	case *ast.IndexExpr:
		return baseName(e.X)
	case *ast.IndexListExpr:
		return baseName(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

var (
	quoted    = regexp.MustCompile("`([^`\n]+)`")
	fence     = regexp.MustCompile("(?ms)^```.*?^```$")
	name      = regexp.MustCompile(`^([a-z][a-z0-9]*)((?:\.[A-Za-z]\w*){1,2})(?:\(\))?$`)
	placed    = regexp.MustCompile("`([a-z][\\w.]*)`(?:\\s+[(]|,\\s+)`([\\w./-]+[.]go)`") // `package.Name` (`its/file.go`)
	inPicture = regexp.MustCompile(`\b([a-z][a-z0-9]*)((?:\.[A-Z]\w*){1,2})\b`)
	goFile    = regexp.MustCompile(`^[\w./<>-]+\.go$`)
	folder    = regexp.MustCompile(`^[a-z][\w.-]*/[\w./-]*$`)
	foreign   = regexp.MustCompile(`^(sip|events[.]handlers|caddy|caddyfile|go|d|e)([.]|$)|^(github.com|testing)/`)
)

// aboutCode are the documents that name what is in the code. Those that are left out are for users,
// and what they name is on other machines.
var aboutCode = []string{
	"docs/architecture.md", "docs/authentication.md", "docs/design.md",
	"docs/events.md", "docs/handler.md", "docs/matcher.md", "docs/simulation.md",
	"docs/stability.md", "docs/storage.md", "docs/testing.md",
}

// TestDocumentedNames looks up what the documents about the code name: files and folders, and what
// is written as package.Name. What is not declared any more has been renamed, and is to be
// renamed there as well.
func TestDocumentedNames(t *testing.T) {
	tr := parseTree(t)
	for _, file := range aboutCode {
		text := fence.ReplaceAllString(read(t, file), "")
		found := 0
		for _, match := range quoted.FindAllStringSubmatch(text, -1) {
			word := match[1]
			switch m := name.FindStringSubmatch(word); {
			case goFile.MatchString(word):
				found++
				if !exists(t, word) {
					t.Errorf("%s names the file %s, which is not there", file, word)
				}
			case m != nil && tr.packages[m[1]]:
				found++
				if tr.names[m[1]+m[2]] == nil && !foreign.MatchString(word) {
					t.Errorf("%s names %s, which is not declared", file, word)
				}
			case m != nil && !foreign.MatchString(word):
				t.Errorf("%s names %s, and there is no package %s", file, word, m[1])
			case folder.MatchString(word) && !foreign.MatchString(word):
				found++
				if _, err := os.Stat(word); err != nil {
					t.Errorf("%s names %s, which is not there", file, word)
				}
			}
		}
		for _, m := range placed.FindAllStringSubmatch(text, -1) {
			if files := tr.names[m[1]]; files != nil && !slices.Contains(files, m[2]) {
				t.Errorf("%s says that %s is in %s: it is in %s", file, m[1], m[2], strings.Join(files, ", "))
			}
		}
		for _, picture := range blocks(read(t, file), "text") {
			for _, m := range inPicture.FindAllStringSubmatch(picture, -1) {
				if tr.packages[m[1]] && tr.names[m[1]+m[2]] == nil {
					t.Errorf("a picture in %s names %s%s, which is not declared", file, m[1], m[2])
				}
			}
		}
		if found == 0 {
			t.Errorf("%s names nothing: is the test still right?", file)
		}
	}
}

// exists reports whether a file is there: by its path or, without one, in any folder.
func exists(t *testing.T, file string) bool {
	t.Helper()
	if strings.ContainsAny(file, "<>") {
		return true // a pattern
	}
	if strings.Contains(file, "/") {
		_, err := os.Stat(file)
		return err == nil
	}
	found := false
	err := filepath.WalkDir(".", func(_ string, d fs.DirEntry, err error) error {
		found = found || d != nil && d.Name() == file
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestQuotedCode compares the Go code in the guides with the file that was linked to before it: code
// that is compiled and tested. Between two pieces of a file stands an ellipsis. The first handler of
// docs/handler.md is compiled itself: see TestHandlerDocumentation.
func TestQuotedCode(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)]+\.go)\)`)
	for _, file := range aboutCode {
		text := read(t, file)
		from := ""
		for i, part := range strings.Split(text, "\n```") {
			if i%2 == 0 {
				if links := link.FindAllStringSubmatch(part, -1); links != nil {
					from = filepath.Join(filepath.Dir(file), links[len(links)-1][1])
				}
				continue
			}
			code, ok := strings.CutPrefix(part, "go\n")
			if !ok || from == "" {
				if ok && file != "docs/handler.md" {
					t.Errorf("%s shows code that is from nowhere:\n%s", file, code)
				}
				continue
			}
			rest := read(t, from)
			for piece := range strings.SplitSeq(code+"\n", "// …\n") {
				var found bool
				if _, rest, found = strings.Cut(rest, piece); !found {
					t.Errorf("%s shows this, which is not in %s:\n%s", file, from, piece)
				}
			}
		}
	}
}

// TestLockOrder looks each mutex up in the lock order of docs/architecture.md: whoever adds one has
// to think of where in the order it is.
func TestLockOrder(t *testing.T) {
	_, text, ok := strings.Cut(read(t, "docs/architecture.md"), "\n## Locks\n")
	if !ok {
		t.Fatal("docs/architecture.md has no lock order")
	}
	text, _, _ = strings.Cut(text, "\n## ")
	tr := parseTree(t)
	if len(tr.locks) < 20 {
		t.Fatalf("only %d mutexes found: is the test still right?", len(tr.locks))
	}
	for _, lock := range tr.locks {
		if !strings.Contains(text, "`"+lock+"`") {
			t.Errorf("docs/architecture.md does not say where in the order of locks %s is", lock)
		}
	}
}

// TestPackageComments sees that every package says what it is, in a doc.go where others import it
// or read it.
func TestPackageComments(t *testing.T) {
	for dir, files := range goFiles(t, ".") {
		var comments []string
		for _, name := range files {
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.PackageClauseOnly)
			if err != nil {
				t.Fatal(err)
			}
			if file.Doc == nil {
				continue
			}
			comments = append(comments, name)
			start := "Package " + file.Name.Name + " "
			if file.Name.Name == "main" {
				start = "Command "
			}
			if text := file.Doc.Text(); !strings.HasPrefix(text, start) {
				t.Errorf("%s: the comment of the package begins %.30q, not %q", name, text, start)
			}
		}
		if len(comments) != 1 {
			t.Errorf("package %s has comments in %v, and should have one", dir, comments)
			continue
		}
		switch top, _, _ := strings.Cut(filepath.ToSlash(dir), "/"); top {
		case "caddyfile", "handler", "internal", "module", "storage", "wire":
			if filepath.Base(comments[0]) != "doc.go" {
				t.Errorf("%s: the comment of package %s belongs in doc.go", comments[0], dir)
			}
		}
	}
}
