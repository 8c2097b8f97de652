package vars

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/module/moduletest"
)

func TestVars(t *testing.T) {
	var v Vars
	text := "vars who \"{sip.from.user} {sip.header.Subject}\" {\n count 3\n on true\n}"
	if err := v.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text)); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var loaded Vars
	if err := json.Unmarshal(raw, &loaded); err != nil {
		t.Fatal(err)
	}
	// What comes from the wire is not looked at for placeholders.
	r := moduletest.Request(t, strings.Replace(moduletest.Invite, "User-Agent", "Subject: {sip.method}\nUser-Agent", 1))
	var next moduletest.Next
	if err := loaded.ServeSIP(new(moduletest.Recorder), r, next.Serve); err != nil || next.Calls != 1 {
		t.Fatalf("%v, %d calls of next", err, next.Calls)
	}
	if got, want := r.Replace("<{sip.vars.who}> <{sip.vars.count}> <{sip.vars.on}> <{sip.vars.other}>"), "<alice {sip.method}> <3> <true> <>"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if r.Var("on") != true {
		t.Errorf("on is %#v", r.Var("on"))
	}
}

func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		"vars":                        "vars needs the name of a variable",
		"vars a":                      "the variable a needs a value",
		"vars a b c":                  "takes one value",
		"vars a b {\n a c\n}":         "set twice",
		"vars sip.auth.user alice":    "the server's own",
		"vars {\n regexp.name.1 x\n}": "the server's own",
		"vars handler x":              "can't be named",
		`vars "" x`:                   "a variable needs a name",
	} {
		var v Vars
		if err := v.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
	if err := (Vars{"sip.auth.user": "alice"}).Validate(); err == nil {
		t.Error("no error for sip.auth.user")
	}
}
