package errorhandler

import (
	"errors"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/module/moduletest"
)

func TestError(t *testing.T) {
	for text, want := range map[string]string{
		"error":                         "500 Server Internal Error",
		"error 403":                     "403 Forbidden",
		`error 404 "no {sip.uri.user}"`: "404 Not Found: no 431",
		"error {sip.vars.status} {sip.vars.text}": "480 Temporarily Unavailable: {sip.method}",
		"error {sip.vars.nothing}":                `500 Server Internal Error: "" is not a status code from 400 to 699`,
	} {
		h := new(Error)
		if err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text)); err != nil {
			t.Fatal(err)
		}
		if err := h.Provision(caddy.Context{}); err != nil {
			t.Fatal(err)
		}
		if err := h.Validate(); err != nil {
			t.Fatal(err)
		}
		r := moduletest.Request(t, moduletest.Invite)
		r.SetVar("status", "480")
		r.SetVar("text", "{sip.method}")
		var w moduletest.Recorder
		var next moduletest.Next
		err := h.ServeSIP(&w, r, next.Serve)
		var he module.HandlerError
		if !errors.As(err, &he) || err.Error() != want || next.Calls != 0 || len(w.Responses) != 0 {
			t.Errorf("%s: %v, %d calls of next, %d responses; want %s", text, err, next.Calls, len(w.Responses), want)
		}
	}
}

func TestAnswered(t *testing.T) {
	var w moduletest.Recorder
	if err := module.Respond(&w, 200, ""); err != nil {
		t.Fatal(err)
	}
	var next moduletest.Next
	if err := (&Error{Status: "403"}).ServeSIP(&w, moduletest.Request(t, moduletest.Invite), next.Serve); err != nil || next.Calls != 1 {
		t.Errorf("%v, %d calls of next", err, next.Calls)
	}
}

func TestCaddyfileErrors(t *testing.T) {
	for text, want := range map[string]string{
		"error 302":     `"302" is not a status code from 400 to 699`,
		"error no":      `"no" is not a status code`,
		"error 400 a b": "'b' is too much",
	} {
		if err := new(Error).UnmarshalCaddyfile(caddyfile.NewTestDispenser(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}
