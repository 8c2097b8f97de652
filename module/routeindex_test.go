package module_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/module/moduletest"
	"github.com/caddysip/caddysip/wire"
)

func init() {
	caddy.RegisterModule(&divert{})
	caddy.RegisterModule(new(asked))
}

// asked is a matcher that counts how often one of its kind is asked. It matches one user.
type asked string

var timesAsked int

func (*asked) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.matchers.asked", New: func() caddy.Module { return new(asked) }}
}

func (m *asked) Match(r *module.Request) (bool, error) {
	timesAsked++
	return string(r.URI().User) == string(*m), nil
}

func (m *asked) Keys() (string, []string) { return "asked", []string{string(*m)} }

func (*asked) AppendKey(dst []byte, r *module.Request) []byte { return append(dst, r.URI().User...) }

// divert is a handler that sends a request to somebody else.
type divert struct {
	URI string `json:"uri"`
}

func (*divert) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.handlers.divert", New: func() caddy.Module { return new(divert) }}
}

func (d *divert) ServeSIP(w module.ResponseWriter, r *module.Request, next module.Next) error {
	if err := r.Edit(func(e *wire.Edits, m *wire.Message) { e.SetRequestURI(m, []byte(d.URI)) }); err != nil {
		return err
	}
	r.SetAuthUser("1003")
	return next(w, r)
}

var indexedMatchers = []string{
	`"method": ["INVITE"]`, `"method": ["BYE", "INVITE"]`, `"method": ["BYE"]`,
	`"uri_user": ["1001"]`, `"uri_user": ["1002", "1003"]`, `"uri_user": ["100?"]`, `"uri_user": ["{sip.from.user}"]`, `"uri_user": ["a b"]`,
	`"uri_host": ["EXAMPLE.com"]`, `"uri_host": ["[2001:DB8::1]"]`, `"uri_host": ["2001:db8::1", "x"]`, `"uri_host": ["*"]`,
	`"to_user": ["431"]`, `"to_user": ["1001", "{sip.uri.user}"]`, `"from_user": ["alice"]`, `"from_user": ["1009"]`, `"from_host": ["example.com"]`, `"to_host": ["example.org"]`,
	`"authenticated": ["1003"]`, `"authenticated": []`, `"authenticated": ["{sip.from.user}"]`,
	`"in_dialog": {}`, `"not": [{"uri_user": ["1001"]}]`,
}

func randomRoute(random *rand.Rand, n int) string {
	var sets []string
	for range random.IntN(3) {
		set := map[string]string{}
		for range 1 + random.IntN(2) {
			m := indexedMatchers[random.IntN(len(indexedMatchers))]
			name, _, _ := strings.Cut(m, ":")
			set[name] = m
		}
		var all []string
		for _, m := range set {
			all = append(all, m)
		}
		sets = append(sets, "{"+strings.Join(all, ", ")+"}")
	}
	handle := fmt.Sprintf(`{"handler": "step", "name": "%d "}`, n)
	if random.IntN(4) == 0 {
		uri := []string{"sip:1003@Example.COM", "sip:a%20b@[2001:db8::1]", "sip:1001@x"}[random.IntN(3)]
		handle += fmt.Sprintf(`, {"handler": "divert", "uri": %q}`, uri)
	}
	extra := ""
	switch random.IntN(6) {
	case 0:
		extra = `"group": "g", `
	case 1:
		extra = `"group": "h", `
	case 2:
		extra = `"terminal": true, `
	}
	return fmt.Sprintf(`{%s"match": [%s], "handle": [%s]}`, extra, strings.Join(sets, ", "), handle)
}

// TestRouteIndex compares lists of routes that are asked one after the other with the same lists
// followed by so many that there is an index.
func TestRouteIndex(t *testing.T) {
	never := strings.Repeat(`, {"match": [{"method": ["NONE"]}], "handle": [{"handler": "step", "name": "wrong"}]}`, 8)
	requests := []string{
		moduletest.Invite,
		strings.Replace(moduletest.Invite, "sip:", "sip:1001@example.com SIP/2.0\nX: ", 1),
		strings.Replace(moduletest.Invite, "sip:", "sip:%31002@[2001:db8::1] SIP/2.0\nX: ", 1),
		strings.Replace(moduletest.Invite, "sip:", "tel:1001 SIP/2.0\nX: ", 1),
	}
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		var routes []string
		for i := range 7 {
			routes = append(routes, randomRoute(random, i))
		}
		list := strings.Join(routes, ",\n")
		var traces [2]string
		for i, tail := range []string{"", never} {
			app := moduletest.App(t, `{"domains": ["example.com"], "servers": {"srv0": {"listen": ["udp/192.0.2.10:5060"], "routes": [`+list+tail+`]}}}`)
			for _, request := range requests {
				r := moduletest.Request(t, request, moduletest.To(app.Servers["srv0"]))
				var w moduletest.Recorder
				app.Servers["srv0"].Serve(&w, r)
				trace, _ := r.Var("trace").(string)
				traces[i] += fmt.Sprintln(trace, w.Status())
			}
		}
		if traces[0] != traces[1] {
			t.Fatalf("seed %d: the routes\n%s\nwith an index take\n%s\nand want\n%s", seed, list, traces[1], traces[0])
		}
	}
}

func manyRoutes(t testing.TB, n int, route string) *module.Server {
	routes := make([]string, n)
	for i := range routes {
		routes[i] = fmt.Sprintf(route, i)
	}
	app := moduletest.App(t, `{"domains": ["example.com"], "servers": {"srv0": {"listen": ["udp/192.0.2.10:5060"], "routes": [`+strings.Join(routes, ",")+`]}}}`)
	return app.Servers["srv0"]
}

const (
	byURI = `{"match": [{"uri_user": ["9%05d"]}], "handle": [{"handler": "step", "name": "a"}]}`
	byTo  = `{"match": [{"method": ["INVITE"], "to_user": ["9%05d"]}], "handle": [{"handler": "step", "name": "a"}]}`
)

// TestManyRoutesAreNotAsked: of a thousand routes only the one that matches is asked.
func TestManyRoutesAreNotAsked(t *testing.T) {
	s := manyRoutes(t, 1000, `{"match": [{"method": ["INVITE"], "asked": "%d"}], "handle": [{"handler": "step", "name": "a"}]}`)
	r := moduletest.Request(t, moduletest.Invite, moduletest.To(s))
	var w moduletest.Recorder
	timesAsked = 0
	s.Serve(&w, r)
	if trace, _ := r.Var("trace").(string); trace != "a" || timesAsked != 1 {
		t.Errorf("%d were asked, and the trace is %q", timesAsked, trace)
	}
}

func TestManyRoutesAllocateNothing(t *testing.T) {
	for _, route := range []string{byURI, byTo} {
		s := manyRoutes(t, 1000, route)
		r := moduletest.Request(t, moduletest.Invite, moduletest.To(s))
		w := moduletest.Recorder{}
		s.Serve(&w, r)
		before := testing.AllocsPerRun(100, func() { s.Serve(&w, r) })
		if before != 0 {
			t.Errorf("%s: %v allocations", route, before)
		}
	}
}

func BenchmarkRoutes(b *testing.B) {
	for name, route := range map[string]string{"uri": byURI, "to": byTo} {
		for _, n := range []int{1, 100, 1000} {
			b.Run(fmt.Sprint(name, "/", n), func(b *testing.B) {
				s := manyRoutes(b, n, route)
				r := moduletest.Request(b, moduletest.Invite, moduletest.To(s))
				w := moduletest.Recorder{}
				s.Serve(&w, r)
				b.ReportAllocs()
				for b.Loop() {
					s.Serve(&w, r)
				}
			})
		}
	}
}
