package proxy

import (
	"strings"
	"testing"

	"github.com/caddysip/caddysip/handler/handlertest"
)

// TestPreloaded has a phone with us as its outbound proxy: its Route names us, and is taken away.
func TestPreloaded(t *testing.T) {
	s := start(t, "register\nproxy")
	alice, bob := udp(t, s, "alice"), registered(t, s, "bob")
	for _, route := range []string{"<sip:" + s.Addr.String() + ";lr>", "<sip:127.0.0.1>", `"us" <sip:localhost;lr>;x=1, <sip:` + s.Addr.String() + ";lr>"} {
		alice.request("MESSAGE", s.URI("bob"), "Route: "+route)
		m := bob.Expect("MESSAGE " + bob.contact())
		same(t, "Route", len(m.Headers("Route")), 0)
		bob.Answer(m, "200 OK", "b")
		alice.Expect("SIP/2.0 200")
	}
}

// TestAuthenticated has somebody who may be relayed elsewhere: by Request-URI, by Route, and by a
// strict router's Route.
func TestAuthenticated(t *testing.T) {
	s := start(t, "test_trust\nregister\nproxy {\nallow_private\n}")
	alice, proxy := udp(t, s, "alice"), udp(t, s, "proxy")
	us, far := "<sip:"+s.Addr.String()+";lr>", "sip:bob@far.example;x=1"
	hop := "sip:" + proxy.Addr.String()
	for _, test := range []struct{ uri, route, wantURI, wantRoute string }{
		{"sip:bob@" + proxy.Addr.String() + ";x=1", "", "sip:bob@" + proxy.Addr.String() + ";x=1", ""},
		{"sip:bob@far.example;maddr=127.0.0.1;x=1", "<" + hop + ";lr>", "sip:bob@far.example;maddr=127.0.0.1;x=1", "<" + hop + ";lr>"},
		{far, us + ", <" + hop + ";lr>;y, <sip:last.example>", far, "<" + hop + ";lr>;y|<sip:last.example>"},
		{far, "<" + hop + ";x>", hop + ";x", "<" + far + ">"},
		{far, us + ", <" + hop + ";x>, <sip:last.example;lr>", hop + ";x", "<sip:last.example;lr>|<" + far + ">"},
	} {
		headers := []string{"X-User: alice"}
		if test.route != "" {
			headers = append(headers, "Route: "+test.route)
		}
		alice.request("MESSAGE", test.uri, headers...)
		m := proxy.Expect("MESSAGE " + test.wantURI + " SIP/2.0\r\n")
		same(t, "Route", strings.Join(m.Headers("Route"), "|"), test.wantRoute)
		proxy.Answer(m, "200 OK", "b")
		alice.Expect("SIP/2.0 200")
	}
}

// TestStrictBefore has strict routers around us: one before us has made our Record-Route the
// Request-URI (RFC 3261 §16.4).
func TestStrictBefore(t *testing.T) {
	s := start(t, "register\nproxy")
	alice, bob := udp(t, s, "alice"), udp(t, s, "bob")
	bob.register("Contact: <sip:bob@192.0.2.1;line=1>")
	alice.invite(s.URI("bob"))
	invite := bob.Expect("INVITE")
	bob.pickUp(invite, "Contact: <sip:bob@192.0.2.1;line=1>")
	call := alice.caller(alice.Expect("SIP/2.0 200"))
	own := uriOf.Replace(call.routes[0])
	target := call.target
	call.target, call.routes = own, []string{"<" + target + ">"}
	call.send("ACK")
	ack := bob.Expect("ACK " + target + " SIP/2.0\r\n")
	same(t, "Route", len(ack.Headers("Route")), 0)

	// With one more router behind us, which is reached where the callee is.
	call.routes = []string{"<sip:127.0.0.1:" + port(bob) + ";lr>, <" + target + ">"}
	call.send("INFO")
	info := bob.Expect("INFO " + target + " SIP/2.0\r\n")
	same(t, "Route", strings.Join(info.Headers("Route"), "|"), "<sip:127.0.0.1:"+port(bob)+";lr>")
	bob.Answer(info, "200 OK", "")
	alice.Expect("SIP/2.0 200")

	// The same with a strict one behind us.
	call.routes = []string{"<sip:127.0.0.1:" + port(bob) + ">, <" + target + ">"}
	call.send("INFO")
	info = bob.Expect("INFO sip:127.0.0.1:" + port(bob) + " SIP/2.0\r\n")
	same(t, "Route", strings.Join(info.Headers("Route"), "|"), "<"+target+">")
	bob.Answer(info, "200 OK", "")
	alice.Expect("SIP/2.0 200")

	// A Request-URI that has the phone answer comes no further that way either.
	call.routes = []string{"<" + target + ";intercom=true>"}
	call.send("INVITE")
	alice.Expect("SIP/2.0 403 Remote Control Not Allowed")
	bob.Nothing()
}

func port(p *phone) string { return p.Addr.String()[strings.LastIndexByte(p.Addr.String(), ':')+1:] }

// TestTokenPinned has a caller who was let through to a phone, and tries to have us relay to
// somebody else within that call.
func TestTokenPinned(t *testing.T) {
	s := start(t, "register\nproxy")
	alice, bob, victim := udp(t, s, "alice"), udp(t, s, "bob"), udp(t, s, "victim")
	bob.register("Contact: <sip:bob@192.0.2.1>")
	alice.invite(s.URI("bob"))
	invite := bob.Expect("INVITE")
	bob.pickUp(invite, "Contact: <sip:bob@192.0.2.1>")
	call := alice.caller(alice.Expect("SIP/2.0 200"))
	call.send("ACK")
	bob.Expect("ACK")

	// Whatever the request says, it goes to the phone that was called.
	for _, uri := range []string{"sip:victim@192.0.2.99", "sip:victim@name.example", "tel:+1900"} {
		call.target = uri
		call.send("INFO")
		info := bob.Expect("INFO " + uri + " SIP/2.0\r\n")
		bob.Answer(info, "200 OK", "")
		alice.Expect("SIP/2.0 200")
	}
	own := call.routes[0]
	call.routes = []string{own, "<sip:192.0.2.99;lr>"}
	call.send("INFO")
	bob.Answer(bob.Expect("INFO"), "200 OK", "")
	alice.Expect("SIP/2.0 200")
	call.routes = []string{own}

	// The token is for this call alone, and for its two ends.
	call.target = victim.contact()
	for _, header := range []string{"Call-ID: other", "From: <sip:alice@127.0.0.1>;tag=other", "To: <sip:bob@127.0.0.1>"} {
		call.send("INFO", header)
		if strings.HasPrefix(header, "To") {
			alice.Expect("SIP/2.0 403")
		} else {
			alice.Expect("SIP/2.0 481")
		}
	}
	victim.Nothing()
	bob.Nothing()
}

// TestContactElsewhere has a phone whose Contact leads nowhere in SIP.
func TestContactElsewhere(t *testing.T) {
	s := start(t, "register\nproxy")
	alice, bob := udp(t, s, "alice"), udp(t, s, "bob")
	for _, contact := range []string{"mailto:bob@127.0.0.1", "tel:+49301234"} {
		bob.register("Contact: <" + contact + ">")
		alice.request("MESSAGE", s.URI("bob"), "Call-ID: "+contact)
		alice.Expect("SIP/2.0 480")
		bob.Nothing()
	}
}

// TestNoRoute has a request within a call that comes without Route, to the user: it goes to where
// he is registered.
func TestNoRoute(t *testing.T) {
	s := start(t, "register\nproxy {\nrecord_route off\n}")
	alice, bob := registered(t, s, "alice"), registered(t, s, "bob")
	alice.invite(s.URI("bob"))
	invite := bob.Expect("INVITE")
	none(t, invite, "Record-Route")
	bob.pickUp(invite, "Contact: <"+s.URI("bob")+">")
	call := alice.caller(alice.Expect("SIP/2.0 200"))
	call.send("ACK")
	bob.Expect("ACK " + bob.contact())
	call.send("BYE")
	bye := bob.Expect("BYE " + bob.contact())
	bob.Answer(bye, "200 OK", "")
	alice.Expect("SIP/2.0 200")
}

// TestACKOnce has an ACK that could go to two phones: it goes to one (RFC 3261 §16.11).
func TestACKOnce(t *testing.T) {
	s, alice, phones := house(t, "register\nproxy", "1", "1")
	alice.register()
	alice.request("ACK", s.URI("bob"), "To: <sip:bob@127.0.0.1>;tag=x")
	phones[1].Expect("ACK")
	phones[0].Nothing()
	phones[1].Nothing()
	alice.Nothing()
}

// TestReconnect has a phone whose connection is gone: a call within the call cannot reach it, a new
// one does once it has registered again.
func TestReconnect(t *testing.T) {
	s := start(t, "register\nproxy")
	alice, bob := udp(t, s, "alice"), newPhone(t, s, s.TCP(), "bob")
	const contact = "Contact: <sip:bob@192.0.2.1;transport=tcp>"
	bob.register(contact)
	alice.invite(s.URI("bob"))
	bob.pickUp(bob.Expect("INVITE"), contact)
	call := alice.caller(alice.Expect("SIP/2.0 200"))
	call.send("ACK")
	bob.Expect("ACK")
	bob.Close()
	call.send("INFO")
	alice.Expect("SIP/2.0 480")
	alice.request("MESSAGE", s.URI("bob"), "Call-ID: 2")
	alice.Expect("SIP/2.0 480")
	bob = newPhone(t, s, s.TCP(), "bob")
	bob.register(contact, "Call-ID: again")
	alice.request("MESSAGE", s.URI("bob"), "Call-ID: 3")
	bob.Answer(bob.Expect("MESSAGE sip:bob@192.0.2.1;transport=tcp"), "200 OK", "b")
	alice.Expect("SIP/2.0 200")
}

// TestPath reaches a phone by the proxy that its REGISTER came through (RFC 3327), and the requests
// within the call by that proxy's Record-Route.
func TestPath(t *testing.T) {
	s := start(t, "register {\npath from 127.0.0.1\n}\nproxy")
	alice, edge := udp(t, s, "alice"), udp(t, s, "bob")
	path := "<sip:token@" + edge.Addr.String() + ";lr;ob>"
	edge.register("Contact: <sip:bob@192.0.2.1>", "Path: "+path+",<sip:second.example;lr>", "Supported: path")
	alice.invite(s.URI("bob"))
	invite := edge.Expect("INVITE sip:bob@192.0.2.1 SIP/2.0\r\n")
	same(t, "Route", strings.Join(invite.Headers("Route"), "|"), path+",<sip:second.example;lr>")
	own := invite.Header("Record-Route")
	edge.Answer(invite, "200 OK", "b", "Contact: <sip:bob@192.0.2.1>", "X: 1")
	call := alice.caller(alice.Expect("SIP/2.0 200"))
	call.routes = []string{own, "<sip:token@" + edge.Addr.String() + ";lr>"}
	call.send("ACK")
	ack := edge.Expect("ACK sip:bob@192.0.2.1 SIP/2.0\r\n")
	same(t, "Route", strings.Join(ack.Headers("Route"), "|"), "<sip:token@"+edge.Addr.String()+";lr>")

	// A phone says which way it wants to be reached, but that makes nobody else reachable.
	call.routes = []string{own, "<sip:token@192.0.2.9;lr>"}
	call.send("INFO")
	edge.Answer(edge.Expect("INFO"), "200 OK", "")
	alice.Expect("SIP/2.0 200")
}

// TestRecorded tells which requests get a Record-Route.
func TestRecorded(t *testing.T) {
	s := start(t, "register\nproxy {\nallow_control\n}")
	alice, bob := udp(t, s, "alice"), registered(t, s, "bob")
	for method, want := range map[string]int{"INVITE": 1, "SUBSCRIBE": 1, "REFER": 1, "NOTIFY": 1, "MESSAGE": 0, "OPTIONS": 0, "PUBLISH": 0, "FOO": 0} {
		alice.request(method, s.URI("bob"))
		m := bob.Expect(method)
		same(t, "Record-Route of "+method, len(m.Headers("Record-Route")), want)
		bob.Answer(m, "480 No", "b")
		if method == "INVITE" {
			bob.Expect("ACK")
		}
	}
}

// TestSubscription has the NOTIFY make the dialog, and the next SUBSCRIBE follow its Record-Route
// (RFC 6665 §4.3).
func TestSubscription(t *testing.T) {
	s := start(t, "register\nproxy")
	alice, bob := udp(t, s, "alice"), udp(t, s, "bob")
	bob.register("Contact: <sip:bob@192.0.2.1>")
	alice.request("SUBSCRIBE", s.URI("bob"), "Contact: <sip:alice@192.0.2.2>")
	subscribe := bob.Expect("SUBSCRIBE")
	bob.pickUp(subscribe, "Contact: <sip:bob@192.0.2.1>")
	alice.Expect("SIP/2.0 200")
	bob.callee(subscribe).send("NOTIFY", "Contact: <sip:bob@192.0.2.1>")
	notify := alice.Expect("NOTIFY sip:alice@192.0.2.2")
	same(t, "Record-Route", len(notify.Headers("Record-Route")), 1)
	alice.Answer(notify, "200 OK", "")
	bob.Expect("SIP/2.0 200")
	sub := dialog{alice, uriOf.Replace(notify.Header("Contact")), notify.Header("To"), notify.Header("From"), notify.Header("Call-ID"), notify.Headers("Record-Route")}
	sub.send("SUBSCRIBE", "CSeq: 9 SUBSCRIBE")
	again := bob.Expect("SUBSCRIBE sip:bob@192.0.2.1 SIP/2.0\r\n")
	same(t, "Route", len(again.Headers("Route")), 0)
	bob.Answer(again, "200 OK", "")
	alice.Expect("SIP/2.0 200")
}

// TestTwoSockets has a phone behind NAT registered by one socket and called from the other:
// everything for it leaves by its own.
func TestTwoSockets(t *testing.T) {
	first, second := handlertest.FreeAddr(t), handlertest.FreeAddr(t)
	s := handlertest.StartCaddyfile(t, first, "{\nadmin off\nsip {\nudp/"+first.String()+" udp/"+second.String()+" {\ntest_calm\nregister\nproxy\n}\n}\n}")
	alice := udp(t, s, "alice")
	s.Addr = second
	bob := udp(t, s, "bob")
	s.Addr = first
	bob.register("Contact: <sip:bob@192.0.2.1>", "To: <sip:bob@127.0.0.1>")
	alice.invite(s.URI("bob"), "Contact: <sip:alice@192.0.2.2>")
	from := func(m handlertest.Message, want string) {
		t.Helper()
		same(t, "source of "+m.Line(), m.From.String(), want)
	}
	invite := bob.Expect("INVITE")
	from(invite, second.String())
	routes := invite.Headers("Record-Route")
	same(t, "Record-Route", len(routes), 2)
	has(t, handlertest.Message{Text: routes[0]}, "@"+second.String()+";lr>")
	has(t, handlertest.Message{Text: routes[1]}, "@"+first.String()+";lr>")
	bob.pickUp(invite, "Contact: <sip:bob@192.0.2.1>")
	ok := alice.Expect("SIP/2.0 200")
	from(ok, first.String())
	call := alice.caller(ok)
	call.send("ACK")
	from(bob.Expect("ACK"), second.String())
	bob.callee(invite).send("BYE")
	bye := alice.Expect("BYE")
	from(bye, first.String())
	alice.Answer(bye, "200 OK", "")
	from(bob.Expect("SIP/2.0 200"), second.String())

	s.Restart() // what is stored says which socket it was
	alice.invite(s.URI("bob"), "Contact: <sip:alice@192.0.2.2>", "Call-ID: later")
	from(bob.Expect("INVITE"), second.String())
}
