package caddyfile_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	_ "github.com/caddysip/caddysip/handler/proxy"
	_ "github.com/caddysip/caddysip/handler/register"
	_ "github.com/caddysip/caddysip/handler/snomlrc"
	"github.com/caddysip/caddysip/module"
)

// FuzzAdapt puts any text into the sip block. Nothing panics, an error says where it is, and what
// comes out is JSON with no field that nobody knows.
func FuzzAdapt(f *testing.F) {
	files, err := filepath.Glob("testdata/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		f.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		input, _, _ := strings.Cut(string(text), separator)
		if _, inside, ok := strings.Cut(input, "\tsip {\n"); ok {
			if inside, _, ok := strings.Cut(inside, "\n\t}\n"); ok {
				f.Add(inside)
			}
		}
	}
	f.Add(":5060 {\nregister {\nexpires 60 600 7200\nmax_contacts 3\n}\nproxy sip:a sip:b {\ntimeout 3s\nretries 1\nfork sequential\nrecord_route off\nallow_control\n}\n}")
	f.Add("udp/:5060 tcp/[::1]:5061,\nlocalhost {\nsnom_lrc {\nkey 1\npress 2\nlight 431 on red\nlabel \"a b\"\nrespond 486 Busy\nfrom sip:a@b\n}\nlog x\n}")
	f.Add(" <<0")
	f.Fuzz(func(t *testing.T, inside string) {
		if !enclosed(inside) {
			return
		}
		const before = "{\n\tsip {\n"
		out, _, err := adapt(before + inside + "\n\t}\n}\n")
		if err != nil {
			wantPlace(t, err, inside)
			return
		}
		var config struct {
			Apps struct {
				SIP json.RawMessage `json:"sip"`
			} `json:"apps"`
		}
		if err := json.Unmarshal(out, &config); err != nil || config.Apps.SIP == nil {
			t.Fatalf("%v: %s", err, out)
		}
		if err := caddy.StrictUnmarshalJSON(config.Apps.SIP, new(module.App)); err != nil {
			t.Fatalf("%v: %s", err, config.Apps.SIP)
		}
		var app any
		if err := json.Unmarshal(config.Apps.SIP, &app); err != nil {
			t.Fatal(err)
		}
		strict(t, app)
	})
}

// enclosed reports whether a text stays in the block that it is put into and reads nothing from
// elsewhere.
func enclosed(text string) bool {
	if strings.Contains(text, "import") || strings.Contains(text, "{$") {
		return false
	}
	// What follows belongs to a text that does not end by itself.
	const end = "\n}"
	tokens, err := caddyfile.Tokenize([]byte(text+end), "Caddyfile")
	if err != nil || len(tokens) == 0 || tokens[len(tokens)-1].Text != "}" || tokens[len(tokens)-1].Quoted() {
		return false
	}
	depth := 0
	for _, token := range tokens[:len(tokens)-1] {
		switch {
		case token.Quoted():
		case token.Text == "{":
			depth++
		case token.Text == "}":
			if depth--; depth < 0 {
				return false
			}
		}
	}
	return depth == 0
}

var place = regexp.MustCompile(`Caddyfile:(\d+)`)

// wantPlace wants an error to name a line of the text.
func wantPlace(t *testing.T, err error, inside string) {
	t.Helper()
	m := place.FindStringSubmatch(err.Error())
	if m == nil {
		t.Fatalf("this error doesn't say where it is: %v", err)
	}
	line := 0
	fmt.Sscan(m[1], &line)
	if last := strings.Count(inside, "\n") + 4; line < 2 || line > last {
		t.Fatalf("line %d of %d: %v", line, last, err)
	}
}

// strict reads every handler and matcher in the JSON into its module, in which each of its fields
// must be known.
func strict(t *testing.T, v any) {
	t.Helper()
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			strict(t, x)
		}
	case map[string]any:
		if name, ok := v["handler"].(string); ok {
			delete(v, "handler")
			known(t, "sip.handlers."+name, v)
		}
		for key, x := range v {
			if sets, ok := x.([]any); ok && key == "match" {
				for _, set := range sets {
					for name, m := range set.(map[string]any) {
						known(t, "sip.matchers."+name, m)
					}
				}
			}
			strict(t, x)
		}
	}
}

func known(t *testing.T, id string, config any) {
	t.Helper()
	info, err := caddy.GetModule(id)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.StrictUnmarshalJSON(raw, info.New()); err != nil {
		t.Fatalf("%s: %v: %s", id, err, raw)
	}
}
