package snomlrc

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/handler/handlertest"
	_ "github.com/caddysip/caddysip/handler/respond"
	_ "github.com/caddysip/caddysip/handler/vars"
	"github.com/caddysip/caddysip/module"
)

func init() {
	caddy.RegisterModule(witness{})
}

// witness is a handler that notes which requests come to it.
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
	if !r.Is("OPTIONS") { // those are the test's own
		seen.Lock()
		seen.requests = append(seen.requests, fmt.Sprintf("%s %s", r.Method(), r.URI().Raw))
		seen.Unlock()
	}
	return next(w, r)
}

// wantSeen compares what the witness has seen since the last time.
func wantSeen(t *testing.T, want ...string) {
	t.Helper()
	seen.Lock()
	defer seen.Unlock()
	if !slices.Equal(seen.requests, want) {
		t.Errorf("the next handler has seen %q, want %q", seen.requests, want)
	}
	seen.requests = nil
}

// invite is an INVITE to a number, as a Snom phone sends it. id makes it another call. Edits are pairs of a text and what replaces it.
func invite(number, id string, edits ...string) string {
	return strings.NewReplacer(edits...).Replace("INVITE sip:" + number + "@example.com;user=phone SIP/2.0\n" +
		"Via: SIP/2.0/{transport} {me};branch=z9hG4bK" + id + ";rport\n" +
		"Max-Forwards: 70\n" +
		"From: \"Alice\" <sip:alice@example.com>;tag=f" + id + "\n" +
		"To: \"Lamp\" <sip:" + number + "@example.com;user=phone>\n" +
		"Call-ID: call-" + id + "\n" +
		"CSeq: 1 INVITE\n" +
		"Contact: \"Alice\" <sip:alice@192.0.2.77:5071;line=ab12;transport=udp>;reg-id=1\n" +
		"User-Agent: snomD785/10.1.159.12\n" +
		"Content-Type: application/sdp\n\nv=0\n")
}

var (
	branch = regexp.MustCompile(`;branch=z9hG4bK[0-9a-f]{32};`)
	tag    = regexp.MustCompile(`(From: <.*>);tag=[0-9a-f]{16}\r\n`)
	callID = regexp.MustCompile(`\r\nCall-ID: [0-9a-f]{32}\r\n`)
)

// plain leaves out of a MESSAGE what is different in each.
func plain(text string) string {
	text = branch.ReplaceAllString(text, ";branch=B;")
	text = tag.ReplaceAllString(text, "$1;tag=T\r\n")
	return callID.ReplaceAllString(text, "\r\nCall-ID: C\r\n")
}

// pushes tells how the outcomes have been counted since it was called.
func pushes(s *handlertest.Server) func() string {
	outcomes := []string{"acknowledged", "refused", "timeout", "failed"}
	count := func(outcome string) float64 {
		return s.Metric("caddy_sip_lrc_pushes_total", "outcome="+outcome)
	}
	before := make(map[string]float64)
	for _, o := range outcomes {
		before[o] = count(o)
	}
	return func() string {
		var all []string
		for _, o := range outcomes {
			if n := count(o) - before[o]; n != 0 {
				all = append(all, fmt.Sprintf("%v %s", n, o))
			}
		}
		return strings.Join(all, ", ")
	}
}

// message returns the MESSAGE that comes next.
func message(p *handlertest.Peer, start string) handlertest.Message {
	m := p.Expect("MESSAGE " + start)
	p.Ignore(m)
	return m
}
