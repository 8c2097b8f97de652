package module_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/module"
	_ "github.com/caddysip/caddysip/module/match"
	"github.com/caddysip/caddysip/module/moduletest"
)

func init() {
	caddy.RegisterModule(&step{})
}

// step is a handler that leaves a trace, and then goes on, answers, or fails.
type step struct {
	Name   string `json:"name"`
	Status int    `json:"status"`
	Fail   int    `json:"fail"`
	Panic  bool   `json:"panic"`
}

func (*step) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.handlers.step", New: func() caddy.Module { return new(step) }}
}

func (s *step) ServeSIP(w module.ResponseWriter, r *module.Request, next module.Next) error {
	trace, _ := r.Var("trace").(string)
	r.SetVar("trace", trace+s.Name)
	switch {
	case s.Panic:
		panic(s.Name)
	case s.Fail > 0:
		return module.Error(s.Fail, errors.New(s.Name))
	case s.Status > 0:
		return module.Respond(w, s.Status, "")
	}
	return next(w, r)
}

// steps makes JSON of a shorter notation: a is a step, !a one for requests that don't match, a404
// one that answers, a-404 one that fails.
func steps(list string) string {
	var routes []string
	for _, s := range strings.Fields(list) {
		match := ""
		if rest, ok := strings.CutPrefix(s, "!"); ok {
			s, match = rest, `"match": [{"method": ["BYE"]}], `
		}
		extra := ""
		if n, ok := strings.CutPrefix(s[1:], "-"); ok {
			extra = `, "fail": ` + n
		} else if n != "" {
			extra = `, "status": ` + n
		}
		routes = append(routes, fmt.Sprintf(`{%s"handle": [{"handler": "step", "name": %q%s}]}`, match, s[:1], extra))
	}
	return strings.Join(routes, ", ")
}

func group(name, match, routes string) string {
	if match != "" {
		match = `"match": [{` + match + `}], `
	}
	return fmt.Sprintf(`{"group": %q, %s"handle": [{"handler": "subroute", "routes": [%s]}]}`, name, match, routes)
}

const (
	matches = `"method": ["INVITE"]`
	differs = `"method": ["BYE"]`
)

func TestRoutes(t *testing.T) {
	all := func(routes ...string) string { return `"routes": [` + strings.Join(routes, ", ") + `]` }
	for _, tc := range []struct {
		name, server, trace string
		status              int
	}{
		{"in order", all(steps("a b c200 d")), "abc", 200},
		{"nothing answers", all(steps("a b")), "ab", 404},
		{"what doesn't match is left out", all(steps("a !b c !d e200")), "ace", 200},
		{"terminal", all(`{"terminal": true, "handle": [{"handler": "step", "name": "a"}]}`, steps("b200")), "a", 404},
		{"one of several sets", all(`{"match": [{` + differs + `}, {` + matches + `}], "handle": [{"handler": "step", "name": "a"}]}`), "a", 404},
		{"all of a set", all(`{"match": [{` + matches + `, "in_dialog": {}}], "handle": [{"handler": "step", "name": "a"}]}`), "", 404},

		{"the first of a group", all(group("g", differs, steps("a")), group("g", matches, steps("b")), group("g", "", steps("c")), steps("d")), "bd", 404},
		{"groups apart", all(group("g", "", steps("a")), group("h", "", steps("b")), group("g", "", steps("c"))), "ab", 404},
		{"a group in a group is another", all(group("g", "", group("g", "", steps("a"))+", "+group("g", "", steps("b")))), "a", 404},
		{
			"what an inner group leaves over is not for the outer group",
			all(group("g", matches, group("g", differs, steps("a"))), group("g", "", steps("b")), steps("c")), "c", 404,
		},
		{
			"an inner group doesn't stand for the outer one",
			all(`{"handle": [{"handler": "subroute", "routes": [`+group("g", "", steps("a"))+`]}]}`, group("g", "", steps("b"))), "ab", 404,
		},

		{"an error is answered", all(steps("a b-403 c")), "ab", 403},
		{"a panic is answered", all(`{"handle": [{"handler": "step", "name": "a", "panic": true}]}`), "a", 500},
		{"error routes", all(steps("a-403")) + `, "errors": {` + all(steps("b404")) + `}`, "ab", 404},
		{"error routes that don't answer", all(steps("a-403")) + `, "errors": {` + all(steps("b")) + `}`, "ab", 403},
		{"an error in error routes", all(steps("a-403")) + `, "errors": {` + all(steps("b-480")) + `}`, "ab", 480},
		{
			"error routes of a subroute",
			all(`{"handle": [{"handler": "subroute", ` + all(steps("a-403")) + `, "errors": {` + all(steps("b486")) + `}}]}`), "ab", 486,
		},

		{
			"a named route goes on", all(`{"handle": [{"handler": "invoke", "name": "n"}]}`, steps("b")) +
				`, "named_routes": {"n": {"handle": [{"handler": "step", "name": "a"}]}}`, "ab", 404,
		},
		{
			"a named route that is invoked twice",
			all(`{"handle": [{"handler": "invoke", "name": "n"}, {"handler": "invoke", "name": "n"}]}`) +
				`, "named_routes": {"n": {"handle": [{"handler": "subroute", "routes": [` + group("g", "", steps("a")) + `]}]}}`, "aa", 404,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			app := moduletest.App(t, `{"domains": ["example.com"], "servers": {"srv0": {"listen": ["udp/192.0.2.10:5060"], `+tc.server+`}}}`)
			s := app.Servers["srv0"]
			// The same routes serve one request after the other.
			for range 2 {
				r := moduletest.Request(t, moduletest.Invite, moduletest.To(s))
				var w moduletest.Recorder
				s.Serve(&w, r)
				if trace, _ := r.Var("trace").(string); trace != tc.trace || w.Status() != tc.status {
					t.Errorf("trace %q and status %d, want %q and %d", trace, w.Status(), tc.trace, tc.status)
				}
			}
		})
	}
}

func TestRouteErrors(t *testing.T) {
	for server, want := range map[string]string{
		`"routes": [{"handle": [{"handler": "invoke", "name": "n"}]}]`:                                                                          `there is no named route "n"`,
		`"routes": [{"handle": [{"handler": "invoke", "name": "n"}]}], "named_routes": {"n": {"handle": [{"handler": "invoke", "name": "n"}]}}`: `"n" invokes itself`,
		`"routes": [{"handle": [{"handler": "no_such"}]}]`:                                                                                      "no_such",
		`"routes": [{"match": [{"no_such": 1}]}]`:                                                                                               "no_such",
	} {
		_, err := moduletest.Load(t, `{"servers": {"srv0": {"listen": ["udp/192.0.2.10:5060"], `+server+`}}}`)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", server, err, want)
		}
	}
}
