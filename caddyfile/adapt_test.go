package caddyfile_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	sipcaddyfile "github.com/caddysip/caddysip/caddyfile"
	_ "github.com/caddysip/caddysip/handler/digestauth"
	_ "github.com/caddysip/caddysip/handler/errorhandler"
	_ "github.com/caddysip/caddysip/handler/header"
	_ "github.com/caddysip/caddysip/handler/logappend"
	_ "github.com/caddysip/caddysip/handler/proxy"
	_ "github.com/caddysip/caddysip/handler/ratelimit"
	_ "github.com/caddysip/caddysip/handler/redirect"
	_ "github.com/caddysip/caddysip/handler/respond"
	_ "github.com/caddysip/caddysip/handler/rewrite"
	_ "github.com/caddysip/caddysip/handler/vars"
	"github.com/caddysip/caddysip/module"
)

var update = flag.Bool("update", false, "write the JSON that comes out into the files")

const separator = "----------"

// Each file has a Caddyfile and what it becomes: JSON, or a part of the error message.
func TestAdapt(t *testing.T) {
	files, err := filepath.Glob("testdata/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, want, ok := strings.Cut(string(data), separator+"\n")
			if !ok {
				t.Fatalf("there is no %s", separator)
			}
			want = strings.TrimSpace(want)
			out, _, err := adapt(input)
			if want != "" && want[0] != '{' {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Fatalf("got the error %v\nwant          %s", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := pretty(t, out)
			if *update {
				if err := os.WriteFile(file, []byte(input+separator+"\n"+got+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			validate(t, out)
		})
	}
}

func adapt(input string) ([]byte, []caddyconfig.Warning, error) {
	return caddyconfig.GetAdapter("caddyfile").Adapt([]byte(input), map[string]any{"filename": "Caddyfile"})
}

func pretty(t *testing.T, raw []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "\t")
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(b.String())
}

// validate loads a configuration as "caddy validate" does.
func validate(t *testing.T, raw []byte) {
	t.Helper()
	caddy.DefaultStorage.Path = t.TempDir()
	var config caddy.Config
	if err := caddy.StrictUnmarshalJSON(raw, &config); err != nil {
		t.Fatal(err)
	}
	config.Admin = &caddy.AdminConfig{Disabled: true}
	config.Logging = &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{Level: "ERROR"}}}}
	if err := caddy.Validate(&config); err != nil {
		t.Errorf("loading it: %v", err)
	}
}

func init() {
	caddy.RegisterModule(new(attempt))
	caddy.RegisterModule(new(unwritable))
}

// attempt is a handler with routes of its own.
type attempt struct {
	First module.RouteList `json:"first,omitempty"`
	Then  module.RouteList `json:"then,omitempty"`
}

func (*attempt) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.handlers.attempt", New: func() caddy.Module { return new(attempt) }}
}

func (*attempt) ServeSIP(w module.ResponseWriter, r *module.Request, next module.Next) error {
	return next(w, r)
}

func (a *attempt) UnmarshalCaddyfile(d *caddyfile.Dispenser) (err error) {
	d.Next()
	for nesting := d.Nesting(); d.NextBlock(nesting) && err == nil; {
		switch d.Val() {
		case "first":
			a.First, err = sipcaddyfile.ParseRoutes(d)
		case "then":
			a.Then, err = sipcaddyfile.ParseRoutes(d)
		}
	}
	return err
}

// unwritable is a handler without a Caddyfile syntax.
type unwritable struct{}

func (*unwritable) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.handlers.unwritable", New: func() caddy.Module { return new(unwritable) }}
}

func (*unwritable) ServeSIP(w module.ResponseWriter, r *module.Request, next module.Next) error {
	return next(w, r)
}

// What a Caddyfile is made of besides directives is the parser's, and works in the sip block as
// elsewhere.
func TestImports(t *testing.T) {
	t.Setenv("SIP_TEST_PORT", "5070")
	file := filepath.Join(t.TempDir(), "refuse")
	if err := os.WriteFile(file, []byte("respond 403 {args[0]}\nrespond @nowhere 404\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	input := func(matcher string) string {
		return "{\n\tsip {\n\t\t:{$SIP_TEST_PORT} {\n\t\t\t" + matcher + "\n\t\t\timport " + file + " Forbidden!\n\t\t}\n\t}\n}\n"
	}
	out, _, err := adapt(input("@nowhere to_host nowhere"))
	if err != nil || !strings.Contains(string(out), `"reason":"Forbidden!"`) || !strings.Contains(string(out), `":5070"`) {
		t.Errorf("%s, %v", out, err)
	}
	// An error tells the imported file's line, and who imported it.
	_, _, err = adapt(input(""))
	if err == nil || !strings.Contains(err.Error(), file+":2 import chain ['Caddyfile:5 (import)']") {
		t.Errorf("got %v", err)
	}
}
