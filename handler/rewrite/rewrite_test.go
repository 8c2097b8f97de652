package rewrite

import (
	"errors"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/module/moduletest"
)

func TestRewrite(t *testing.T) {
	for _, tc := range []struct{ uri, want string }{
		{"sip:bob@example.org", "sip:bob@example.org"},
		{"sip:00{sip.uri.user}@{sip.source.ip}:5070", "sip:00431@192.0.2.7:5070"},
		{"sip:{sip.vars.star}@example.com", "sip:*%2390@example.com"},
		{"{sip.vars.uri}", "sips:x@example.net;user=phone"},
	} {
		r := moduletest.Request(t, moduletest.Invite)
		r.SetVar("star", "*#90")
		r.SetVar("uri", "sips:x@example.net;user=phone")
		raw := string(r.Message().Raw)
		r.URI() // read before, it must be read anew
		var next moduletest.Next
		if err := (&Rewrite{URI: tc.uri}).ServeSIP(new(moduletest.Recorder), r, next.Serve); err != nil || next.Calls != 1 {
			t.Errorf("%s: %v, %d calls of next", tc.uri, err, next.Calls)
			continue
		}
		if got, want := string(r.Message().Raw), strings.Replace(raw, "sip:431@example.com", tc.want, 1); got != want {
			t.Errorf("%s:\n%s", tc.uri, got)
		}
		if got := string(r.URI().Raw); got != tc.want {
			t.Errorf("%s: the Request-URI is %s, want %s", tc.uri, got, tc.want)
		}
	}
}

// What doesn't become a Request-URI is refused and changes nothing.
func TestRefused(t *testing.T) {
	for _, uri := range []string{"{sip.vars.nothing}", "sip:{sip.vars.nothing}@example.com", "{sip.vars.evil}", "{sip.vars.headers}", "sip:a@{sip.vars.evil}"} {
		r := moduletest.Request(t, moduletest.Invite)
		r.SetVar("evil", "sip:a@b SIP/2.0\r\nVia: x")
		r.SetVar("headers", "sip:a@b?Subject=x")
		raw := string(r.Message().Raw)
		var next moduletest.Next
		err := (&Rewrite{URI: uri}).ServeSIP(new(moduletest.Recorder), r, next.Serve)
		var he module.HandlerError
		if !errors.As(err, &he) || he.Status != 400 || next.Calls != 0 || string(r.Message().Raw) != raw {
			t.Errorf("%s: %v, %d calls of next, now\n%s", uri, err, next.Calls, r.Message().Raw)
		}
	}
}

func TestCaddyfile(t *testing.T) {
	for text, want := range map[string]string{
		"rewrite":                          "rewrite takes one URI",
		"rewrite sip:a@b sip:c@d":          "rewrite takes one URI",
		"rewrite bob":                      `"bob" is not a SIP URI`,
		"rewrite sip:bob@example.com?a=b":  "a Request-URI has no headers",
		"rewrite http://example.com":       "the scheme is not sip",
		"rewrite sip:bob@example.com:0x50": "is not a SIP URI",
	} {
		if err := new(Rewrite).UnmarshalCaddyfile(caddyfile.NewTestDispenser(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}
