package header

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/module/moduletest"
)

const before = `MESSAGE sip:431@example.com SIP/2.0
v: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK1
Max-Forwards: 70
Subject: one
f: <sip:alice@example.com>;tag=f1
t: <sip:431@example.com>
s:
  two
i: call1
CSeq: 1 MESSAGE
X-Custom: a
x-CUSTOM : b
Content-Length: 5

hello`

func TestHeader(t *testing.T) {
	for _, tc := range []struct{ text, gone, added string }{
		{"header Priority urgent", "", "Priority: urgent\n"},
		{"header +Priority {sip.from.user}", "", "Priority: alice\n"},
		{"header +Subject three", "", "Subject: three\n"},
		{"header Subject three", "Subject: one\n|s:\n  two\n", "Subject: three\n"},
		{"header s three", "Subject: one\n|s:\n  two\n", "Subject: three\n"},
		{"header -subject", "Subject: one\n|s:\n  two\n", ""},
		{"header -S", "Subject: one\n|s:\n  two\n", ""},
		{"header -X-Custom", "X-Custom: a\n|x-CUSTOM : b\n", ""},
		{"header -Priority", "", ""},
		{"header {\n -Subject\n X-Custom c\n +X-Custom d\n}", "Subject: one\n|s:\n  two\n|X-Custom: a\n|x-CUSTOM : b\n", "X-Custom: c\nX-Custom: d\n"},
		{`header Priority "{sip.vars.evil}"`, "", "Priority: a  Via: b  c\n"},
	} {
		h := new(Header)
		if err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser(tc.text)); err != nil {
			t.Fatal(err)
		}
		if err := h.Provision(caddy.Context{}); err != nil {
			t.Fatal(err)
		}
		r := moduletest.Request(t, before)
		r.SetVar("evil", "a\r\nVia: b\r\n\x00c"[:len("a\r\nVia: b\r\n")]+"c")
		var next moduletest.Next
		if err := h.ServeSIP(new(moduletest.Recorder), r, next.Serve); err != nil || next.Calls != 1 {
			t.Errorf("%s: %v, %d calls of next", tc.text, err, next.Calls)
			continue
		}
		want := before
		for _, gone := range strings.Split(tc.gone, "|") {
			if gone != "" && !strings.Contains(want, gone) {
				t.Fatalf("%q is not there", gone)
			}
			want = strings.Replace(want, gone, "", 1)
		}
		want = strings.Replace(want, "\n\nhello", "\n"+tc.added+"\nhello", 1)
		// A folded line is unfolded when it is read.
		want = strings.ReplaceAll(want, "s:\n  two", "s:    two")
		if got := strings.ReplaceAll(string(r.Message().Raw), "\r\n", "\n"); got != want {
			t.Errorf("%s:\n%s\nwant:\n%s", tc.text, got, want)
		}
		if string(r.Message().Body()) != "hello" {
			t.Errorf("%s: the body is %q", tc.text, r.Message().Body())
		}
	}
}

func TestRefused(t *testing.T) {
	for _, name := range []string{"Via", "v", "From", "F", "to", "t", "Call-ID", "i", "CSeq", "Max-Forwards", "Content-Length", "l", "Route", "RECORD-ROUTE"} {
		for _, text := range []string{"header " + name + " x", "header +" + name + " x", "header -" + name} {
			if err := new(Header).UnmarshalCaddyfile(caddyfile.NewTestDispenser(text)); err == nil || !strings.Contains(err.Error(), "is the server's own") {
				t.Errorf("%s: %v", text, err)
			}
		}
		values := map[string][]string{name: {"x"}}
		for _, h := range []*Header{{Set: values}, {Add: values}, {Delete: []string{name}}} {
			if err := h.Provision(caddy.Context{}); err == nil || !strings.Contains(err.Error(), "is the server's own") {
				t.Errorf("%+v: %v", h, err)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		"header":                        "header needs the name of a header field",
		"header Subject":                "header Subject needs a value",
		"header +Subject":               "header Subject needs a value",
		"header -Subject x":             "it takes no value",
		"header Subject a b":            "takes one value",
		`header "a b" c`:                `"a b" is not the name of a header field`,
		"header {\n s a\n Subject b\n}": "set or removed twice",
		"header {\n -s\n Subject b\n}":  "set or removed twice",
		"header {\n s a\n -Subject\n}":  "set or removed twice",
	} {
		if err := new(Header).UnmarshalCaddyfile(caddyfile.NewTestDispenser(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
	for _, h := range []*Header{
		{},
		{Delete: []string{"x-a", "X-A"}},
		{Delete: []string{"s"}, Set: map[string][]string{"Subject": {"x"}}},
		{Set: map[string][]string{"subject": {"x"}, "Subject": {"y"}}},
	} {
		if err := h.Provision(caddy.Context{}); err == nil {
			t.Errorf("%+v: no error", h)
		}
	}
}
