package proxy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/internal/inside"
)

// upstreams starts a server that relays to peers: {1} and {2} in the directives are their
// addresses.
func upstreams(t *testing.T, first, directives string) (s *handlertest.Server, alice *phone, up []*phone) {
	t.Helper()
	s = start(t, first+"\nproxy")
	for i := range 2 {
		p := udp(t, s, "up")
		up = append(up, p)
		directives = strings.ReplaceAll(directives, fmt.Sprintf("{%d}", i+1), p.Addr.String())
	}
	// Who asks for nothing but an answer, as Nothing does, gets one from the server.
	s.Load("{\nadmin off\nsip {\n" + s.Addr.String() + " {\n@calls not from_user probe\n" + directives + "\n}\n}\n}")
	return s, udp(t, s, "alice"), up
}

// TestConfigured has the URIs that a configuration may name, and what becomes of the Request-URI.
func TestConfigured(t *testing.T) {
	for _, test := range []struct{ to, uri, want, route string }{
		{"sip:{1}", "sip:12;x=1@far.example;y=1", "sip:12;x=1@{1}", ""},
		{"sip:{1};z=1", "sip:12:pass@far.example", "sip:12@{1};z=1", ""},
		{"SIP:{1}", "sip:far.example", "SIP:{1}", ""},
		{"sip:desk@{1}", "sip:12@far.example", "sip:desk@{1}", ""},
		{"sip:0{sip.uri.user}@{1}", "sip:12@far.example", "sip:012@{1}", ""},
		{"sip:{1}", "tel:+1-555;ext=9", "sip:+1-555;ext=9@{1};user=phone", ""},
		{"sip:{1};lr", "sip:12@far.example;y=1", "sip:12@far.example;y=1", "<sip:{1};lr>"},
		{"sip:{1};lr", "tel:112", "tel:112", "<sip:{1};lr>"},
	} {
		t.Run(test.to+" "+test.uri, func(t *testing.T) {
			_, alice, up := upstreams(t, "", "proxy @calls "+test.to)
			fill := strings.NewReplacer("{1}", up[0].Addr.String())
			alice.request("MESSAGE", test.uri)
			m := up[0].Expect("MESSAGE " + fill.Replace(test.want) + " SIP/2.0\r\n")
			same(t, "Route", strings.Join(m.Headers("Route"), "|"), fill.Replace(test.route))
			up[0].Answer(m, "200 OK", "u")
			alice.Expect("SIP/2.0 200")
			alice.Nothing()
			up[1].Nothing()
		})
	}
}

// TestConfiguredAlive asks whether the server is alive: it answers itself, and not what is behind it.
func TestConfiguredAlive(t *testing.T) {
	s, alice, up := upstreams(t, "", "proxy sip:{1}")
	for _, header := range []string{"Max-Forwards: 70", "Max-Forwards: 0", "Route: <sip:" + s.Addr.String() + ";lr>"} {
		alice.request("OPTIONS", "sip:"+s.Addr.String(), header)
		alice.Expect("SIP/2.0 200")
	}
	up[0].Nothing()
	alice.request("OPTIONS", s.URI("12"))
	up[0].Answer(up[0].Expect("OPTIONS sip:12@"), "486 Busy Here", "u")
	alice.Expect("SIP/2.0 486")
	// All else is for those behind.
	alice.request("MESSAGE", "sip:"+s.Addr.String())
	up[0].Answer(up[0].Expect("MESSAGE "), "200 OK", "u")
	alice.Expect("SIP/2.0 200")
}

// TestConfiguredRoute goes to the configured server and nowhere else, though the request has a
// Route for somebody else.
func TestConfiguredRoute(t *testing.T) {
	s, alice, up := upstreams(t, "", "proxy @calls sip:{1}")
	other := "<" + up[1].contact() + ";lr>"
	alice.request("MESSAGE", "sip:12@far.example", "Route: <sip:"+s.Addr.String()+";lr>", "Route: "+other)
	m := up[0].Expect("MESSAGE sip:12@" + up[0].Addr.String())
	same(t, "Route", strings.Join(m.Headers("Route"), "|"), other)
	up[1].Nothing()
}

// TestConfiguredCall follows the Contact of a server that answers for another: it is the operator's
// choice to trust it.
func TestConfiguredCall(t *testing.T) {
	_, alice, up := upstreams(t, "", "proxy @calls sip:{1}")
	alice.invite("sip:12@far.example", "Contact: <sip:alice@192.0.2.1>")
	invite := up[0].Expect("INVITE")
	up[0].Answer(invite, "200 OK", "u", "Contact: <"+up[1].contact()+">")
	call := alice.caller(alice.Expect("SIP/2.0 200"))
	call.send("ACK")
	up[1].Expect("ACK " + up[1].contact())
	up[0].callee(invite).send("INFO")
	alice.Answer(alice.Expect("INFO sip:alice@192.0.2.1"), "200 OK", "")
	up[0].Expect("SIP/2.0 200")
	call.send("BYE")
	up[1].Answer(up[1].Expect("BYE "+up[1].contact()), "200 OK", "")
	alice.Expect("SIP/2.0 200")
	up[0].Nothing()
}

// TestFailover tries the second server after a 503, and after nothing else that the first one says.
func TestFailover(t *testing.T) {
	for _, test := range []struct {
		answer, options, want string
		second                bool
	}{
		{"503 Busy", "", "", true},
		{"486 Busy Here", "", "486 Busy Here", false},
		{"408 Late", "", "408 Late", false},
		{"500 Oops", "", "500 Oops", false},
		{"302 Moved", "", "302 Moved", false},
		{"603 Decline", "", "603 Decline", false},
		{"503 Busy", "retries 0", "500 Server Internal Error", false},
	} {
		t.Run(test.answer+test.options, func(t *testing.T) {
			_, alice, up := upstreams(t, "", "proxy @calls sip:{1} sip:{2} {\n"+test.options+"\n}")
			alice.invite("sip:12@far.example")
			invite := up[0].Expect("INVITE sip:12@" + up[0].Addr.String())
			up[1].Nothing()
			up[0].Answer(invite, test.answer, "u", "Retry-After: 5")
			up[0].Expect("ACK")
			if test.second {
				again := up[1].Expect("INVITE sip:12@" + up[1].Addr.String())
				same(t, "another Via", again.Header("Via") != invite.Header("Via"), true)
				alice.Nothing()
				up[1].Answer(again, "200 OK", "u", "Contact: <"+up[1].contact()+">")
				alice.Expect("SIP/2.0 200")
			} else {
				res := alice.Expect("SIP/2.0 " + test.want + "\r\n")
				if test.answer[:3] == "503" {
					none(t, res, "Retry-After")
				}
				up[1].Nothing()
			}
			alice.Nothing()
			up[0].Nothing()
		})
	}
}

// TestFailoverBreadth tries servers one after the other, which is no fork (RFC 5393 §5.3.3).
func TestFailoverBreadth(t *testing.T) {
	_, alice, up := upstreams(t, "", "proxy @calls sip:{1} sip:{2}")
	alice.invite("sip:12@far.example", "Max-Breadth: 1")
	up[0].Answer(up[0].Expect("INVITE"), "503 Busy", "u")
	up[0].Expect("ACK")
	up[1].Answer(up[1].Expect("INVITE"), "486 Busy Here", "u")
	alice.Expect("SIP/2.0 486")
}

// TestFailoverTimeout tries the second server when the first doesn't answer.
func TestFailoverTimeout(t *testing.T) {
	_, alice, up := upstreams(t, "test_hurry", "proxy @calls sip:{1} sip:{2}")
	alice.invite("sip:12@far.example")
	up[0].Expect("INVITE")
	again := up[1].Expect("INVITE")
	up[1].Answer(again, "180 Ringing", "u")
	alice.Expect("SIP/2.0 180")
	up[1].Answer(again, "404 Not Found", "u")
	alice.Expect("SIP/2.0 404")
}

// TestFailoverRefused tries the second server when no connection to the first can be made.
func TestFailoverRefused(t *testing.T) {
	closed := handlertest.FreeAddr(t)
	_, alice, up := upstreams(t, "", "proxy @calls sip:"+closed.String()+";transport=tcp sip:{2}")
	alice.invite("sip:12@far.example")
	up[1].Answer(up[1].Expect("INVITE"), "486 Busy Here", "u")
	alice.Expect("SIP/2.0 486")
	up[0].Nothing()
}

// TestUnreachable has one server, and no way to it.
func TestUnreachable(t *testing.T) {
	closed := handlertest.FreeAddr(t)
	_, alice, _ := upstreams(t, "", "proxy @calls sip:"+closed.String()+";transport=tcp")
	alice.request("INVITE", "sip:12@far.example")
	// It may fail while the 100 is still on its way out.
	lines := []string{alice.Receive().Line(), alice.Receive().Line()}
	slices.Sort(lines)
	same(t, "answers", strings.Join(lines, ", "), "SIP/2.0 100 Trying, SIP/2.0 500 Server Internal Error")
	alice.request("ACK", "sip:12@far.example", "To: <sip:12@far.example>;tag=1", "Call-ID: 2")
	alice.Nothing()
}

// TestNoRoom has room for the transaction of the request, and none for that of the forwarded one:
// it is us who are overloaded.
func TestNoRoom(t *testing.T) {
	s, alice, up := upstreams(t, "", "limits {\n transactions 1\n}\nproxy @calls sip:{1} sip:{2}")
	alice.invite("sip:12@far.example")
	res := alice.Expect("SIP/2.0 503")
	same(t, "Retry-After", res.Header("Retry-After"), "5")
	alice.request("INVITE", "sip:13@far.example", "Call-ID: another")
	res = alice.Expect("SIP/2.0 503")
	same(t, "Retry-After", res.Header("Retry-After"), "5")
	alice.Nothing()
	up[0].Nothing()
	up[1].Nothing()
	same(t, "transactions", inside.AppOf(s.App()).Engine.Transactions.Len(), 1)
}
