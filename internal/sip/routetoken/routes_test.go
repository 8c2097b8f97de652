package routetoken

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

func udpEnd(addr string) End {
	return End{Hop: Hop{transport.UDP, netip.MustParseAddrPort(addr)}}
}

// TestThrough has a call come through the server several times. It looks through itself where it is
// the end of one token and the beginning of the next, and nowhere else.
func TestThrough(t *testing.T) {
	s := newSigner("secret")
	const self, alice, bob, far, hair = "192.0.2.10:5060", "192.0.2.1:5060", "192.0.2.2:5060", "192.0.2.3:5060", "198.51.100.1:5060"
	for _, test := range []struct {
		name   string
		tokens []string // caller and callee of each
		from   string
		pop    int
		to     string
		want   Standing
	}{
		{"once", []string{alice, bob}, alice, 1, bob, Admitted},
		{"once, from elsewhere", []string{alice, bob}, far, 1, bob, None},
		{"by two sockets", []string{alice, bob, "", ""}, alice, 2, bob, Admitted},
		{"straight through itself", []string{alice, self, self, bob}, alice, 2, bob, Admitted},
		{"and from elsewhere", []string{alice, self, self, bob}, far, 2, bob, None},
		{"by way of another server", []string{alice, far, far, bob}, alice, 1, far, Admitted},
		{"from that server", []string{far, bob}, far, 1, bob, Admitted},
		{"by the router's address", []string{alice, hair, hair, bob}, alice, 1, hair, Admitted},
		{"into the call of others", []string{alice, self, far, bob}, alice, 1, self, Admitted},
		{"three times", []string{alice, self, self, self, self, bob}, alice, 2, self, Admitted},
	} {
		t.Run(test.name, func(t *testing.T) {
			var routes []string
			for i := 0; i < len(test.tokens); i += 2 {
				if test.tokens[i] == "" {
					routes = append(routes, routes[len(routes)-1])
					continue
				}
				token := Token{Caller: udpEnd(test.tokens[i]), Callee: udpEnd(test.tokens[i+1]), Made: s.Calls.Now(), ID: uint64(i + 1), Invite: true}
				routes = append(routes, fmt.Sprintf("<sip:%s@192.0.2.10;lr>", s.Append(nil, &token, []byte("call"), []byte("a"))))
			}
			var m wire.Message
			if err := m.Parse([]byte("BYE sip:b@192.0.2.9 SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=a\r\nTo: <sip:b@x>;tag=b\r\n" +
				"Call-ID: call\r\nCSeq: 1 BYE\r\nRoute: " + strings.Join(routes, ", ") + "\r\n\r\n")); err != nil {
				t.Fatal(err)
			}
			uri, _ := wire.ParseURI(m.RequestURI())
			rs, err := s.ReadRoutes(&m, &uri, Sender{Flow: transport.Flow{Remote: netip.MustParseAddrPort(test.from)}})
			if err != nil {
				t.Fatal(err)
			}
			if rs.Standing != test.want || rs.Pop != test.pop || rs.To.Addr.String() != test.to || rs.HasNext != (rs.Pop < len(routes)) {
				t.Errorf("got %d, %d values, to %s, a next one: %t", rs.Standing, rs.Pop, rs.To.Addr, rs.HasNext)
			}
			// When one of the tokens is over, the call is.
			if test.want == Admitted {
				calls := rs.Calls()
				s.Calls.End(calls[len(calls)-1])
				if rs, _ = s.ReadRoutes(&m, &uri, Sender{Flow: transport.Flow{Remote: netip.MustParseAddrPort(test.from)}}); rs.Standing != Over {
					t.Errorf("after the end: got %d", rs.Standing)
				}
				s.Calls = NewCalls()
			}
		})
	}
}
