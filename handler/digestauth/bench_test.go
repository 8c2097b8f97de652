package digestauth

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	client "github.com/icholy/digest"
	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/sip/digest"
	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/module/moduletest"
)

// BenchmarkDigestAuth is what a REGISTER costs, from its bytes to the next handler or the challenge. The request itself is three of the allocations.
func BenchmarkDigestAuth(b *testing.B) {
	app := moduletest.App(b, `{"domains": ["example.com"], "servers": {"s": {"listen": ["udp/127.0.0.1:5060"]}}}`)
	h := &DigestAuth{Users: []User{{Name: "101", Password: "secret-of-101"}}, app: app, in: inside.AppOf(app),
		logger: zap.NewNop(), nonces: digest.Shared()}
	h.tokens.Site = inside.AppOf(app)
	repl := caddy.NewReplacer()
	for _, err := range []error{h.provisionRealm(), h.provisionOptions(), h.provisionUsers(caddy.Context{}, repl)} {
		if err != nil {
			b.Fatal(err)
		}
	}
	flow := transport.Flow{Remote: netip.MustParseAddrPort("192.0.2.7:5060"), Local: netip.MustParseAddrPort("192.0.2.10:5060")}
	register := func(line string) []byte {
		return []byte(strings.ReplaceAll("REGISTER sip:example.com SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK1;rport\nMax-Forwards: 70\n"+
			"From: <sip:101@example.com>;tag=f1\nTo: <sip:101@example.com>\nCall-ID: call1@192.0.2.7\nCSeq: 2 REGISTER\n"+
			"Contact: <sip:101@192.0.2.7:5060;line=x>\nUser-Agent: baresip v1.0.0\n"+line+"Content-Length: 0\n\n", "\n", "\r\n"))
	}
	for name, a := range map[string]digest.Algorithm{"challenged": digest.Other, "MD5": digest.MD5, "SHA-256": digest.SHA256} {
		raw, want := register(""), 0
		if a != digest.Other {
			challenge, err := client.ParseChallenge(string(digest.AppendChallenge(nil, h.realm, h.nonces.Append(nil, h.realm, flow.Remote), a, false)))
			if err != nil {
				b.Fatal(err)
			}
			credentials, err := client.Digest(challenge, client.Options{Method: "REGISTER", URI: "sip:example.com", Username: "101", Password: "secret-of-101"})
			if err != nil {
				b.Fatal(err)
			}
			raw, want = register("Authorization: "+credentials.String()+"\n"), 1
		}
		b.Run(name, func(b *testing.B) {
			var next moduletest.Next
			serve := module.Next(next.Serve)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				r, err := module.NewRequest(raw, flow.Remote, flow.Local, nil)
				if err != nil {
					b.Fatal(err)
				}
				if err := h.ServeSIP(new(moduletest.Recorder), r, serve); err != nil {
					b.Fatal(err)
				}
				n++
			}
			// All but the first are retransmissions, which costs the same.
			if next.Calls != n*want {
				b.Errorf("%d of %d went on", next.Calls, n)
			}
		})
	}
}
