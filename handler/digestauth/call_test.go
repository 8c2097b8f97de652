package digestauth

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddysip/caddysip/handler/handlertest"
)

// call sets up a call of alice, who has to authenticate, to bob at a phone that is no user's, and returns the INVITE that came there and the 200.
func call(t *testing.T, alice *phone, to string, bob *handlertest.Peer) (invite, ok handlertest.Message) {
	t.Helper()
	c := alice.challenged("INVITE", to)
	alice.Send(alice.request("INVITE", to, alice.answers(c, "INVITE", to, 1)))
	invite = bob.Expect("INVITE ")
	alice.Expect("SIP/2.0 100")
	bob.Answer(invite, "200 OK", "tag-bob", fmt.Sprintf("Contact: <sip:bob@%s>", bob.Addr))
	ok = alice.Expect("SIP/2.0 200")
	alice.Ignore(ok)
	alice.Send(alice.request("ACK", bobContact(bob), append([]string{"To: " + ok.Header("To")}, routes(ok, true)...)...))
	bob.Expect("ACK ")
	return invite, ok
}

func bobContact(bob *handlertest.Peer) string { return fmt.Sprintf("sip:bob@%s", bob.Addr) }

// routes makes a route of the Record-Route of a message; for the caller it is the other way round.
func routes(m handlertest.Message, caller bool) []string {
	var list []string
	for _, v := range m.Headers("Record-Route") {
		list = append(list, "Route: "+v)
	}
	if caller {
		slices.Reverse(list)
	}
	return list
}

// TestWithinCall has requests of somebody without an account, within a call and not.
func TestWithinCall(t *testing.T) {
	addr := handlertest.FreeAddr(t)
	text := func(gateway string) string {
		return handlertest.Caddyfile(addr, "digest_auth {\n"+users+"}\nregister\n@out uri_user 0*\nproxy @out sip:"+gateway+"\nproxy")
	}
	s := handlertest.StartCaddyfile(t, addr, text("127.0.0.1:9"))
	alice, gateway := registered(t, s, "udp", "alice"), s.UDP()
	s.Load(text(gateway.Addr.String()))
	invite, _ := call(t, alice, uri("0123"), gateway)
	same(t, "Proxy-Authorization", invite.Header("Proxy-Authorization"), "")

	own := routes(invite, false)
	target := strings.Trim(invite.Header("Contact"), "<>")
	request := func(method, uri string, headers ...string) {
		t.Helper()
		lines := []string{
			"Via: SIP/2.0/UDP {me};branch={branch};rport", "Max-Forwards: 70", "From: " + invite.Header("To") + ";tag=tag-bob",
			"To: " + invite.Header("From"), "Call-ID: " + invite.Header("Call-ID"), "CSeq: 7 " + method, "Contact: <" + bobContact(gateway) + ">",
		}
		for _, h := range headers {
			name, _, _ := strings.Cut(h, ":")
			if i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, name+":") }); i >= 0 && name != "Route" {
				lines[i] = h
			} else {
				lines = append(lines, h)
			}
		}
		gateway.Send(method + " " + uri + " SIP/2.0\n" + strings.Join(lines, "\n") + "\n\n")
	}
	// Within the call nobody is asked.
	for _, method := range []string{"INFO", "BYE"} {
		counts(t, s, func() {
			request(method, target, own...)
			got := alice.Expect(method + " ")
			alice.Answer(got, "200 OK", "")
			gateway.Expect("SIP/2.0 200")
		})
	}
	// What only claims to be is asked.
	route := strings.TrimPrefix(own[0], "Route: <sip:")
	token, host, _ := strings.Cut(strings.TrimSuffix(route, ";lr>"), "@")
	forged := "Route: <sip:" + strings.ToUpper(token) + "@" + host + ";lr>"
	for name, test := range map[string]struct {
		method, uri string
		headers     []string
	}{
		"without the route":                    {"BYE", target, nil},
		"with another route":                   {"BYE", target, []string{"Route: <sip:" + host + ";lr>"}},
		"with a forged route":                  {"BYE", target, []string{forged}},
		"of another call":                      {"BYE", target, append([]string{"Call-ID: other"}, own...)},
		"of others":                            {"BYE", target, append([]string{"From: <sip:x@127.0.0.1>;tag=y", "To: <sip:x@127.0.0.1>;tag=z"}, own...)},
		"outside a dialog":                     {"INVITE", uri("alice"), append([]string{"To: <" + uri("alice") + ">"}, own...)},
		"a REGISTER":                           {"REGISTER", "sip:127.0.0.1", append([]string{"To: <" + uri("alice") + ">;tag=tag-alice"}, own...)},
		"the route of another server":          {"BYE", target, []string{"Route: <sip:" + token + "@192.0.2.1;lr>"}},
		"the token in From alone":              {"INFO", uri(token), nil},
		"the token behind the route of others": {"INFO", target, append([]string{"Route: <sip:192.0.2.1;lr>"}, own...)},
	} {
		counts(t, s, func() {
			request(test.method, test.uri, test.headers...)
			status := "407"
			if test.method == "REGISTER" {
				status = "401"
			}
			res := gateway.Receive()
			if !strings.HasPrefix(res.Text, "SIP/2.0 "+status) {
				t.Errorf("%s:\n%s", name, res.Text)
			}
		}, "challenged")
	}
	alice.ask(alice.register(), "401") // nothing came before
	same(t, "bindings", bindings(s, "alice@localhost"), 1)
	// Who is a user authenticates instead.
	s.Load(handlertest.Caddyfile(addr, "digest_auth {\n"+users+"}\nregister\nproxy {\nrecord_route off\n}"))
	c := alice.challenged("MESSAGE", uri("alice"))
	alice.Send(alice.request("MESSAGE", uri("alice"), "To: <"+uri("alice")+">;tag=x", alice.answers(c, "MESSAGE", uri("alice"), 1)))
	alice.Answer(alice.Expect("MESSAGE "), "200 OK", "")
	alice.Expect("SIP/2.0 200")
}

// TestWithinOwnCall has credentials that are no good in a request from one user to another within
// their call: they would allow nothing more, and are not looked at.
func TestWithinOwnCall(t *testing.T) {
	s := start(t, "")
	alice, bob := registered(t, s, "udp", "alice"), registered(t, s, "udp", "bob")
	_, ok := call(t, alice, uri("bob"), bob.Peer)
	stale := regexp.MustCompile(`nonce="..`).ReplaceAllString(alice.answers(alice.challenged("MESSAGE", uri("bob")), "INFO", uri("bob"), 1), `nonce="xx`)
	counts(t, s, func() {
		alice.Send(alice.request("INFO", bobContact(bob.Peer), append([]string{"To: " + ok.Header("To"), stale}, routes(ok, true)...)...))
		bob.Answer(bob.Expect("INFO "), "200 OK", "")
		alice.Expect("SIP/2.0 200")
	})
}
