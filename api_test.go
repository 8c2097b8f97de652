package caddysip_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestPublicAPI looks through what a module outside this repository can import: no exported
// declaration may mention a type that it cannot name.
func TestPublicAPI(t *testing.T) {
	for dir, files := range goFiles(t, ".") {
		if strings.Contains(dir+"/", "internal/") || strings.HasPrefix(dir, "test") || strings.HasPrefix(dir, "bench") || strings.HasPrefix(dir, "cmd") {
			continue
		}
		for _, name := range files {
			for _, where := range hidden(t, name) {
				t.Error(where)
			}
		}
	}
}

// goFiles returns the files of each package below root that are no tests.
func goFiles(t *testing.T, root string) map[string][]string {
	t.Helper()
	files := make(map[string][]string)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return filepath.SkipDir
		case strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go"):
			dir := filepath.ToSlash(filepath.Dir(path))
			files[dir] = append(files[dir], path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// hidden returns the exported declarations of a file that mention a package under internal/.
func hidden(t *testing.T, name string) (found []string) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	internal := make(map[string]bool)
	for _, spec := range file.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		if !strings.Contains(path, "caddysip/internal/") {
			continue
		}
		as := path[strings.LastIndexByte(path, '/')+1:]
		if spec.Name != nil {
			as = spec.Name.Name
		}
		internal[as] = true
	}
	var report func(ast.Node)
	report = func(n ast.Node) {
		ast.Inspect(n, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.StructType:
				for _, f := range n.Fields.List {
					if len(f.Names) == 0 || anyExported(f.Names) {
						report(f.Type)
					}
				}
				return false
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && internal[x.Name] {
					found = append(found, fmt.Sprintf("%s: %s.%s is in an exported declaration, and a guest cannot name it",
						set.Position(n.Pos()), x.Name, n.Sel.Name))
				}
			}
			return true
		})
	}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if !d.Name.IsExported() || d.Recv != nil && !receiverExported(d.Recv) {
				continue
			}
			for _, list := range []*ast.FieldList{d.Type.Params, d.Type.Results} {
				if list != nil {
					for _, f := range list.List {
						report(f.Type)
					}
				}
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					if spec.Name.IsExported() {
						report(spec.Type)
					}
				case *ast.ValueSpec:
					if anyExported(spec.Names) {
						report(spec)
					}
				}
			}
		}
	}
	return found
}

func anyExported(names []*ast.Ident) bool {
	for _, n := range names {
		if n.IsExported() {
			return true
		}
	}
	return false
}

func receiverExported(recv *ast.FieldList) bool {
	expr := recv.List[0].Type
	if star, ok := expr.(*ast.StarExpr); ok {
		expr = star.X
	}
	name, ok := expr.(*ast.Ident)
	return !ok || name.IsExported()
}
