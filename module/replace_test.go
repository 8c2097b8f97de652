package module_test

import (
	"encoding/json"
	"testing"

	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/module/moduletest"
)

func TestReplaceURI(t *testing.T) {
	for _, tc := range []struct{ text, value, want string }{
		{"sip:bob@example.com", "", "sip:bob@example.com"},
		{"sip:{sip.vars.x}@example.com", "bob", "sip:bob@example.com"},
		{"sip:{sip.vars.x}@example.com", "#9", "sip:%239@example.com"},
		{"sip:{sip.vars.x}@example.com", "a@evil.example;x=y?z", "sip:a%40evil.example;x=y?z@example.com"},
		{"sip:{sip.vars.x}@example.com", "a:b>", "sip:a%3Ab%3E@example.com"},
		{"sip:{sip.vars.x}@example.com", "\r\nVia: x", "sip:%0D%0AVia%3A%20x@example.com"},
		{"sip:{sip.vars.x}@example.com", "{sip.method}", "sip:%7Bsip.method%7D@example.com"},
		{"sip:{sip.vars.x}@example.com", "ü", "sip:%C3%BC@example.com"},
		{"sip:0{sip.uri.user}@{sip.vars.x}:5070;transport=tcp", "192.0.2.1", "sip:0431@192.0.2.1:5070;transport=tcp"},
		{"{sip.vars.x}", "sips:bob@example.com", "sips:bob@example.com"},
		{"tel:{sip.vars.x}", "+431", "tel:+431"},

		{"sip:{sip.vars.x}@example.com", "", ""},
		{"{sip.vars.x}", "", ""},
		{"{sip.vars.x}", "sip:a@b\r\nVia: x", ""},
		{"{sip.vars.x}", "mailto:bob@example.com", ""},
		{"{sip.vars.x}", "sip:a@b@c", ""},
		{"sip:bob@{sip.vars.x}", "a b", ""},
		{"sip:@example.com", "", ""},
		{"bob@example.com", "", ""},
		{"tel:", "", ""},
	} {
		r := moduletest.Request(t, moduletest.Invite)
		r.SetVar("x", tc.value)
		u, err := r.ReplaceURI(tc.text)
		if err != nil && tc.want == "" {
			continue
		}
		if err != nil || string(u.Raw) != tc.want {
			t.Errorf("%q with %q: %q, %v; want %q", tc.text, tc.value, u.Raw, err, tc.want)
		}
	}
}

func TestStatus(t *testing.T) {
	for in, want := range map[string]string{
		`404`: `404`, `"404"`: `404`, `"{sip.vars.x}"`: `"{sip.vars.x}"`, `1.5`: "", `null`: `""`, `{}`: "",
	} {
		var s module.Status
		err := json.Unmarshal([]byte(in), &s)
		if want == "" {
			if err == nil {
				t.Errorf("%s: no error", in)
			}
			continue
		}
		out, _ := json.Marshal(s)
		if err != nil || string(out) != want {
			t.Errorf("%s: %s, %v; want %s", in, out, err, want)
		}
	}
	r := moduletest.Request(t, moduletest.Invite)
	r.SetVar("x", 486)
	r.SetVar("y", "4O4")
	for s, want := range map[module.Status]int{"200": 200, "{sip.vars.x}": 486, "{sip.vars.y}": 0, "{sip.vars.z}": 0, "99": 0, "700": 0} {
		if got, err := s.Of(r, 100); got != want || (err == nil) != (want != 0) {
			t.Errorf("%s: %d, %v; want %d", s, got, err, want)
		}
	}
	for s, ok := range map[module.Status]bool{"400": true, "699": true, "{x}": true, "399": false, "700": false, "": false, "no": false} {
		if err := s.Validate(400); (err == nil) != ok {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestCheckField(t *testing.T) {
	for name, want := range map[string]string{
		"Subject": "Subject", "s": "Subject", "S": "Subject", "x-custom": "x-custom", "user-agent": "User-Agent", "Contact": "Contact",
		"Via": "", "v": "", "FROM": "", "f": "", "to": "", "i": "", "call-id": "", "cseq": "", "max-forwards": "", "l": "", "Route": "",
		"record-route": "", "": "", "a b": "", "a:b": "", "X\r\nVia": "",
	} {
		if got, err := module.CheckField(name); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", name, got, err, want)
		}
	}
}
