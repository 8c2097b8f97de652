package module_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/module/moduletest"
)

func TestOverlap(t *testing.T) {
	for _, tc := range []struct{ a, b, want string }{
		{":5060", ":5061", ""},
		{"udp/:5060", "tcp/:5060", ""},
		{"127.0.0.1:5060", "127.0.0.2:5060", ""},
		{"127.0.0.1:5060", "[::1]:5060", ""},
		{"udp/0.0.0.0:5060", "udp/[::1]:5060", ""},
		{"127.0.0.1:0", "127.0.0.1:0", ""},
		{":5060", ":5060", "server b: udp/[::]:5060 overlaps with udp/[::]:5060 of server a; each address can be listened on once"},
		{":5060", "tcp/127.0.0.1:5060", "server b: tcp/127.0.0.1:5060 overlaps with tcp/[::]:5060 of server a"},
		{"udp/[::1]:5060", ":5060", "server b: udp/[::]:5060 overlaps with udp/[::1]:5060 of server a"},
		{"udp/0.0.0.0:5060", "udp/127.0.0.1:5060", "server b: udp/127.0.0.1:5060 overlaps with udp/0.0.0.0:5060 of server a"},
		{"udp/0.0.0.0:5060", "udp/:5060", "server b: udp/[::]:5060 overlaps with udp/0.0.0.0:5060 of server a"},
		{"udp/127.0.0.1:5060-5065", "udp/127.0.0.1:5065-5070", "server b: udp/127.0.0.1:5065 overlaps with udp/127.0.0.1:5065 of server a"},
		{"sctp/:5060", ":5060", `server a: listener address "sctp/:5060": unknown network`},
	} {
		_, err := moduletest.Load(t, fmt.Sprintf(`{"servers": {"a": {"listen": [%q]}, "b": {"listen": [%q]}}}`, tc.a, tc.b))
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s and %s: %v, want %q", tc.a, tc.b, err, tc.want)
		}
	}
	if _, err := moduletest.Load(t, `{"servers": {"a": {"listen": ["udp/:5060", "udp/127.0.0.1:5060"]}}}`); err == nil || !strings.Contains(err.Error(), "of server a") {
		t.Errorf("within one server: %v", err)
	}
	if _, err := moduletest.Load(t, `{"servers": {"a": {}}}`); err == nil || !strings.Contains(err.Error(), "server a: no address to listen on") {
		t.Errorf("without an address: %v", err)
	}
}

// wrong is a module that is neither handler nor matcher nor storage.
type wrong struct{ id caddy.ModuleID }

func (w wrong) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: w.id, New: func() caddy.Module { return &wrong{w.id} }}
}

func init() {
	for _, id := range []caddy.ModuleID{"sip.handlers.wrong", "sip.matchers.wrong", "sip.storage.wrong"} {
		caddy.RegisterModule(wrong{id})
	}
}

func TestWrongModules(t *testing.T) {
	for server, want := range map[string]string{
		`"routes": [{"handle": [{"handler": "wrong"}]}]`:                                                       "server s: route 0: module *module_test.wrong is not a SIP handler: it has no ServeSIP(ResponseWriter, *Request, Next) error",
		`"routes": [{}, {"match": [{"wrong": {}}]}]`:                                                           "server s: route 1: module *module_test.wrong is not a SIP matcher: it has no Match(*Request) (bool, error)",
		`"routes": [{"handle": [{"handler": "none"}]}]`:                                                        "sip.handlers.none",
		`"routes": [{"handle": [{"no": "handler"}]}]`:                                                          "handler",
		`"named_routes": {"n": {"handle": [{"handler": "wrong"}]}}`:                                            "server s: named route n: module *module_test.wrong is not a SIP handler",
		`"errors": {"routes": [{"handle": [{"handler": "wrong"}]}]}`:                                           "server s: error routes: route 0: module *module_test.wrong is not a SIP handler",
		`"routes": [{"handle": [{"handler": "subroute", "routes": [{"handle": [{"handler": "wrong"}]}]}]}]`:    "is not a SIP handler",
		`"routes": [{"handle": [{"handler": "subroute", "routes": [{"match": [{"not": [{"wrong": {}}]}]}]}]}]`: "is not a SIP matcher",
		`"routes": [{"handle": [{"handler": "step", "no_such_field": 1}]}]`:                                    "no_such_field",
		`"no_such_field": 1`: "no_such_field",
		// Both ways around the circle.
		`"routes": [{"handle": [{"handler": "invoke", "name": "a"}]}], "named_routes": {"a": {"handle": [{"handler": "invoke", "name": "b"}]}, "b": {"handle": [{"handler": "subroute", "routes": [{"handle": [{"handler": "invoke", "name": "a"}]}]}]}}`: `the named route "a" invokes itself`,
		`"errors": {"routes": [{"handle": [{"handler": "invoke", "name": "none"}]}]}`: `there is no named route "none"`,
	} {
		_, err := moduletest.Load(t, `{"servers": {"s": {"listen": ["udp/127.0.0.1:5060"], `+server+`}}}`)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", server, err, want)
		}
	}
	if _, err := moduletest.Load(t, `{"storage": {"module": "wrong"}}`); err == nil || !strings.Contains(err.Error(), "is no storage") {
		t.Errorf("storage: %v", err)
	}
}

func TestOutsideOfAServer(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	if _, err := module.AppFrom(ctx); err == nil || !strings.Contains(err.Error(), "works only in the routes of a SIP server") {
		t.Errorf("AppFrom: %v", err)
	}
	if _, err := module.ServerFrom(ctx); err == nil || !strings.Contains(err.Error(), "works only in the routes of a SIP server") {
		t.Errorf("ServerFrom: %v", err)
	}
	if err := new(module.Invoke).Provision(ctx); err == nil {
		t.Error("invoke outside of a server is no error")
	}
}

// TestTaken listens on an address that another program has: the error says which server wants it,
// and on which line.
func TestTaken(t *testing.T) {
	s := handlertest.Start(t, "")
	taken, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	err = s.TryLoad("{\n\tadmin off\n\tsip {\n\t\t" + s.Addr.String() + " {\n\t\t}\n\n\t\tudp/" +
		taken.LocalAddr().String() + " {\n\t\t}\n\t}\n}\n")
	if err == nil || !strings.Contains(err.Error(), "server srv1: listening on udp/"+taken.LocalAddr().String()) ||
		!strings.HasSuffix(err.Error(), ", at Caddyfile:7") {
		t.Errorf("got %v", err)
	}
	p := s.UDP() // what was in force is so still
	p.Nothing()
}
