package caddysip_test

import (
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const modulePath = "github.com/caddysip/caddysip"

// floors are the packages from the ground up: docs/architecture.md has the picture. A package imports
// those of lower floors alone; on the floor of internal/ they import each other as well.
var floors = []*regexp.Regexp{
	regexp.MustCompile(`^(wire|storage)$`),
	regexp.MustCompile(`^internal/`),
	regexp.MustCompile(`^module/(storage|keyprofile|storagetest)$`),
	regexp.MustCompile(`^module$`),
	regexp.MustCompile(`^module/(match|admin|moduletest)$`),
	regexp.MustCompile(`^caddyfile$`),
	regexp.MustCompile(`^handler/`),
	regexp.MustCompile(`^\.$`),
	regexp.MustCompile(`^(cmd|test|bench)/`),
}

const internalFloor = 1

// onlyIn are packages that draw in so much that only these may import them.
var onlyIn = map[string]string{
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile": "caddyfile",
	"github.com/caddyserver/caddy/v2/modules/standard":          "cmd/caddysip",
}

func floorOf(dir string) int {
	for i, f := range floors {
		if f.MatchString(dir) {
			return i
		}
	}
	return -1
}

// TestImportDirection sees that imports point one way.
func TestImportDirection(t *testing.T) {
	for dir, files := range goFiles(t, ".") {
		floor := floorOf(dir)
		if floor < 0 {
			t.Errorf("%s is on no floor: put it on one, here and in docs/architecture.md", dir)
			continue
		}
		for _, name := range files {
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, spec := range file.Imports {
				path, _ := strconv.Unquote(spec.Path.Value)
				if only := onlyIn[path]; only != "" && only != dir {
					t.Errorf("%s imports %s, which only %s does", name, path, only)
				}
				rest, ours := strings.CutPrefix(path, modulePath)
				if !ours {
					continue
				}
				to := strings.TrimPrefix(rest, "/")
				if to == "" {
					to = "."
				}
				switch below := floorOf(to); {
				case below < floor:
				case below == floor && (floor == internalFloor || floor == len(floors)-1):
				default:
					t.Errorf("%s imports %s, which is not below it", name, to)
				}
			}
		}
	}
}
