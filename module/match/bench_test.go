package match

import (
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/internal/ipset"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/module/moduletest"
)

// cases are the matchers that a server asks for every packet.
func cases(t testing.TB) map[string]module.Matcher {
	remote := &MatchRemoteIP{Ranges: ipset.PrivateRanges}
	re := &MatchURIRegexp{Regexp{Pattern: "^sip:9"}}
	for _, p := range []caddy.Provisioner{remote, re} {
		if err := p.Provision(caddy.Context{}); err != nil {
			t.Fatal(err)
		}
	}
	app := moduletest.App(t, `{"domains": ["example.com"], "servers": {}}`)
	return map[string]module.Matcher{
		"method":     MatchMethod{"MESSAGE", "INVITE"},
		"uri_user":   MatchURIUser{"1*", "43?"},
		"uri_host":   MatchURIHost{"*.example.com", "Example.com"},
		"from_user":  MatchFromUser{"bob", "a*"},
		"user_agent": MatchUserAgent{"*yealink*", "*snom*"},
		"header":     MatchHeader{"User-Agent": {"*yealink*", "snom*"}},
		"other":      MatchHeader{"Subject": {"x"}},
		"remote_ip":  remote,
		"in_dialog":  MatchInDialog{},
		"transport":  MatchTransport{"tcp", "udp"},
		"registered": &MatchRegistered{app: app},
		"uri_regexp": re,
	}
}

func TestAllocations(t *testing.T) {
	r := moduletest.Request(t, moduletest.Invite)
	for name, m := range cases(t) {
		if n := testing.AllocsPerRun(100, func() { _, _ = m.Match(r) }); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	r := moduletest.Request(b, moduletest.Invite)
	for name, m := range cases(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.Match(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
