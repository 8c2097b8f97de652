package register

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/handler/handlertest"
	_ "github.com/caddysip/caddysip/handler/respond"
	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/module"
)

func init() {
	caddy.RegisterModule(witness{})
}

// witness is a handler that notes which requests come to it, and whether they have been answered then.
type witness struct{}

var seen struct {
	sync.Mutex
	requests []string
}

func (witness) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.handlers.witness", New: func() caddy.Module { return new(witness) }}
}

func (*witness) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	return nil
}

func (*witness) ServeSIP(w module.ResponseWriter, r *module.Request, next module.Next) error {
	seen.Lock()
	seen.requests = append(seen.requests, fmt.Sprintf("%s %s %d", r.Method(), r.URI().Raw, w.Status()))
	seen.Unlock()
	return next(w, r)
}

// takeSeen returns what the witness has seen since the last time.
func takeSeen() []string {
	seen.Lock()
	defer seen.Unlock()
	requests := seen.requests
	seen.requests = nil
	return requests
}

// wantSeen compares what the witness has seen since the last time.
func wantSeen(t *testing.T, want ...string) {
	t.Helper()
	if got := takeSeen(); !slices.Equal(got, want) {
		t.Errorf("the next handler has seen %q, want %q", got, want)
	}
}

// start runs a registrar for example.com, which its addresses stand for, and example.org.
func start(t *testing.T, directives string) *handlertest.Server {
	t.Helper()
	addr := handlertest.FreeAddr(t)
	takeSeen()
	return handlertest.StartCaddyfile(t, addr, fmt.Sprintf("{\n\tadmin off\n\tsip {\n\t\tdomain example.com example.org\n\t\t%s {\n%s\n\t\t}\n\t}\n}\n", addr, directives))
}

// request is a REGISTER for user at example.com. lines are further header lines.
func request(user string, cseq int, lines ...string) string {
	return "REGISTER sip:example.com SIP/2.0\n" +
		"Via: SIP/2.0/{transport} {me};branch={branch};rport\n" +
		"Max-Forwards: 70\n" +
		"From: <sip:" + user + "@example.com>;tag=f1\n" +
		"To: <sip:" + user + "@example.com>\n" +
		"Call-ID: call-" + user + "\n" +
		fmt.Sprintf("CSeq: %d REGISTER\n", cseq) +
		strings.Join(append(lines, ""), "\n") + "\n"
}

// ask sends a request and returns the answer, which must start with that status.
func ask(p *handlertest.Peer, text, status string) handlertest.Message {
	p.Send(text)
	return p.Expect("SIP/2.0 " + status)
}

// stored lists the bindings of an address-of-record, as "contact expires q instance reg-id path", what is not there left out. The time is what was
// asked for, to the second, as long as the test takes less.
func stored(s *handlertest.Server, aor string) []string {
	var out []string
	for _, b := range inside.AppOf(s.App()).Location().Lookup([]byte(aor), nil) {
		text := b.Contact()
		if b.Q() != 1000 {
			text += fmt.Sprintf(" q=%d", b.Q())
		}
		if b.Instance() != "" {
			text += " instance=" + b.Instance()
		}
		if b.RegID() != 0 {
			text += fmt.Sprintf(" reg-id=%d", b.RegID())
		}
		if b.Path() != "" {
			text += " path=" + b.Path()
		}
		out = append(out, text)
	}
	return out
}

func wantStored(t *testing.T, s *handlertest.Server, aor string, want ...string) {
	t.Helper()
	if got := stored(s, aor); !slices.Equal(got, want) {
		t.Errorf("%s has the bindings %q, want %q", aor, got, want)
	}
}

// lifetime returns for how long the first binding of an address-of-record was made, in seconds: one more than asked for at most, since it is told in
// full seconds and never too short.
func lifetime(s *handlertest.Server, aor string) int {
	b := inside.AppOf(s.App()).Location().Lookup([]byte(aor), nil)
	if len(b) == 0 {
		return 0
	}
	return int(b[0].Expires().Sub(b[0].Updated()).Seconds())
}
