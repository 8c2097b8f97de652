package proxy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/caddysip/caddysip/handler/handlertest"
)

// TestWildcardSource uses a host with several addresses, and two phones that each know another one
// of them: everything they get, for a call and within it, comes from that address.
func TestWildcardSource(t *testing.T) {
	for _, knows := range []struct{ alice, bob string }{{"127.0.0.6", "127.0.0.5"}, {"127.0.0.5", "127.0.0.5"}} {
		all := handlertest.FreeAddr(t)
		s := handlertest.StartCaddyfile(t, all,
			fmt.Sprintf("{\nadmin off\nsip {\ndomain 127.0.0.5 127.0.0.6\n0.0.0.0:%d {\n"+
				"test_calm\nregister\nproxy\n}\n}\n}\n", all.Port()))
		// known makes a phone that knows the server by an address.
		known := func(user, own, server string) *phone {
			there := *s
			there.Addr = netip.AddrPortFrom(netip.MustParseAddr(server), all.Port())
			return at(t, &there, own, user)
		}
		alice, bob := known("alice", "127.0.0.7", knows.alice), known("bob", "127.0.0.8", knows.bob)
		alice.register()
		bob.register()
		from := func(m handlertest.Message, server string) handlertest.Message {
			t.Helper()
			same(t, m.Line()+" comes from", m.From.String(), netip.AddrPortFrom(netip.MustParseAddr(server),
				all.Port()).String())
			if !strings.HasPrefix(m.Text, "SIP/2.0") {
				has(t, m, "\r\nVia: SIP/2.0/UDP "+m.From.String()+";")
			}
			return m
		}
		alice.request("INVITE", bob.s.URI("bob"))
		from(alice.Expect("SIP/2.0 100"), knows.alice)
		invite := from(bob.Expect("INVITE "), knows.bob)
		bob.pickUp(invite)
		ok := from(alice.Expect("SIP/2.0 200"), knows.alice)
		call, callee := alice.caller(ok), bob.callee(invite)
		call.send("ACK")
		from(bob.Expect("ACK "), knows.bob)
		for _, d := range []struct {
			dialog
			to     *phone
			server string
		}{{call, bob, knows.bob}, {callee, alice, knows.alice}, {call, bob, knows.bob}} {
			d.send("INFO")
			d.to.Answer(from(d.to.Expect("INFO "), d.server), "200 OK", "")
			d.Expect("SIP/2.0 200")
		}
	}
}
