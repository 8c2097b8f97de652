package register

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/module"
)

func init() { caddy.RegisterModule(claim{}) }

// claim takes the header field X-User for credentials that were checked.
type claim struct{}

func (claim) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.handlers.test_claim", New: func() caddy.Module { return new(claim) }}
}

func (*claim) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { d.Next(); return nil }

func (*claim) ServeSIP(w module.ResponseWriter, r *module.Request, next module.Next) error {
	if user := r.Header("X-User"); user != nil {
		r.SetAuthUser(string(user))
	}
	return next(w, r)
}

// TestRegistrationLimits fills a registrar: more is refused with 503 and counted, and what is there is served.
func TestRegistrationLimits(t *testing.T) {
	for _, tc := range []struct {
		reason, limits string
		registered     int
		lines          []string // of each request
	}{
		{"registrations", "registrations 20", 20, nil},
		{"registration_bytes", "registration_bytes 20KiB", 16, []string{"User-Agent: phone",
			"Path: <sip:127.0.0.1;lr;x=" + strings.Repeat("p", 950) + ">"}},
		{"user", "registrations 100", 10, []string{"X-User: boss"}},
		{"user", "registrations 100", 10, []string{"X-User: u1000"}}, // u1 and u10 are others
		{"user", "registration_bytes 100KiB", 8, []string{"X-User: boss", "Path: <sip:127.0.0.1;lr;x=" + strings.Repeat("p", 950) + ">"}},
	} {
		t.Run(tc.limits, func(t *testing.T) {
			s := start(t, "limits {\n"+tc.limits+"\n}\ntrust 127.0.0.1\ntest_claim\nregister\nwitness")
			p := s.UDP()
			register := func(i, cseq int, lines ...string) string {
				lines = append(lines, tc.lines...)
				return request("u"+strconv.Itoa(i), cseq, append(lines, fmt.Sprintf("Contact: <sip:u@192.0.2.1:%d>", 1000+i))...)
			}
			n := 0
			for ; n < 1000; n++ {
				p.Send(register(n, 1))
				if m := p.Receive(); !strings.HasPrefix(m.Text, "SIP/2.0 200") {
					if retry, err := strconv.Atoi(m.Header("Retry-After")); m.Line() != "SIP/2.0 503 Too Many Registrations" || err != nil || retry < 60 {
						t.Fatalf("%d are taken, then:\n%s", n, m.Text)
					}
					break
				}
			}
			if n != tc.registered {
				t.Errorf("%d are registered, want %d", n, tc.registered)
			}
			if got := len(takeSeen()); got != n { // the refused one is nothing to act on
				t.Errorf("the next handler has seen %d", got)
			}
			before := s.Metric("caddy_sip_registrations_refused_total", "reason="+tc.reason)
			for i := n + 1; i < n+4; i++ {
				ask(p, register(i, 1), "503")
				wantStored(t, s, fmt.Sprintf("u%d@example.com", i))
			}
			if got := s.Metric("caddy_sip_registrations_refused_total", "reason="+tc.reason); got != before+3 {
				t.Errorf("%v are counted as refused, want 3", got-before)
			}
			if got := s.Metric("caddy_sip_bindings"); int(got) != n {
				t.Errorf("%v are counted as registered, want %d", got, n)
			}
			if got := s.Metric("caddy_sip_binding_bytes"); int64(got) != inside.AppOf(s.App()).Location().Bytes() || got < 200 {
				t.Errorf("%v bytes are counted", got)
			}
			for i := range n {
				ask(p, register(i, 2), "200")
			}
			ask(p, register(0, 3, "Expires: 0"), "200")
			ask(p, register(n, 2), "200")
			takeSeen()

			if tc.reason == "user" {
				// What is one's own has its own limit, and so has another user.
				ask(p, request("boss", 1, "X-User: boss", "Contact: <sip:boss@192.0.2.1>"), "200")
				ask(p, request("x", 1, "X-User: chef", "Contact: <sip:x@192.0.2.1>"), "200")
				s.Restart()
				ask(p, register(n+1, 1), "503")
			}
			takeSeen()
		})
	}
}

// TestMemoryLimit has registrations end where the memory for them ends.
func TestMemoryLimit(t *testing.T) {
	s := start(t, "register")
	p := s.UDP()
	ask(p, request("alice", 1, "Contact: <sip:a@192.0.2.1>"), "200")
	budget := inside.AppOf(s.App()).Engine.Budget
	ceiling := budget.Ceiling()
	budget.SetCeiling(64)
	defer budget.SetCeiling(ceiling)
	before := s.Metric("caddy_sip_registrations_refused_total", "reason=memory")
	ask(p, request("bob", 1, "Contact: <sip:b@192.0.2.1>"), "503 Too Many Registrations")
	if got := s.Metric("caddy_sip_registrations_refused_total", "reason=memory"); got != before+1 {
		t.Errorf("%v are counted as refused", got-before)
	}
	ask(p, request("alice", 2, "Contact: <sip:a@192.0.2.1>"), "200")
	ask(p, request("alice", 3, "Contact: <sip:a@192.0.2.1>;expires=0"), "200")
	wantStored(t, s, "alice@example.com")
}
