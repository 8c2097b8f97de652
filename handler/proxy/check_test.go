package proxy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddysip/caddysip/handler/handlertest"
)

// TestRefused has requests that must not be relayed, to anybody.
func TestRefused(t *testing.T) {
	s := start(t, "register\nproxy")
	alice, bob, gone := udp(t, s, "alice"), registered(t, s, "bob"), registered(t, s, "gone")
	gone.register("Expires: 0")
	other := udp(t, s, "other") // what an open relay would reach
	us, they := s.URI("bob"), other.contact()
	host := s.Addr.Addr().String()
	for _, test := range []struct {
		name, method, uri string
		headers           []string
		want              string
	}{
		{"unknown user", "INVITE", s.URI("nobody"), nil, "404 Not Found"},
		{"absent user", "INVITE", s.URI("gone"), nil, "480 Temporarily Unavailable"},
		{"absent user by a bare address", "MESSAGE", "sip:gone@" + host, nil, "480 Temporarily Unavailable"},
		{"another domain", "INVITE", "sip:bob@example.org", nil, "403 Relaying Denied"},
		{"another address", "INVITE", they, nil, "403 Relaying Denied"},
		{"our address, another port", "MESSAGE", they, nil, "403 Relaying Denied"},
		{"maddr elsewhere", "INVITE", "sip:bob@" + host + ";maddr=192.0.2.1", nil, "403 Relaying Denied"},
		{"Route elsewhere", "INVITE", us, []string{"Route: <" + they + ";lr>"}, "403 Relaying Denied"},
		{"Route over us elsewhere", "INVITE", us, []string{"Route: <sip:" + host + ";lr>, <" + they + ";lr>"}, "403 Relaying Denied"},
		{"strict Route elsewhere", "INVITE", us, []string{"Route: <" + they + ">"}, "403 Relaying Denied"},
		{"malformed Route", "INVITE", us, []string{"Route: <sip:>"}, "400 Malformed Route"},
		{"dialog elsewhere", "BYE", they, []string{"To: <sip:bob@example.org>;tag=x"}, "481 "},
		{"dialog elsewhere by a Route", "BYE", us, []string{"To: <sip:bob@example.org>;tag=x", "Route: <" + they + ";lr>"}, "481 "},
		{"dialog with nobody", "BYE", s.URI("nobody"), []string{"To: <sip:bob@example.org>;tag=x"}, "404 "},
		{"forged token", "BYE", they, []string{"To: <sip:bob@example.org>;tag=x", "Route: <sip:AH8AAAETxAAEfwAAARPEMTIzNDU2Nzg5@" + s.Addr.String() + ";lr>"}, "481 "},
		{"forged token of a strict router", "BYE", "sip:AH8AAAETxAAEfwAAARPEMTIzNDU2Nzg5@" + s.Addr.String() + ";lr",
			[]string{"To: <sip:bob@example.org>;tag=x", "Route: <" + they + ">"}, "481 "},
		{"sips", "INVITE", "sips:bob@" + host, nil, "416 "},
		{"telephone number", "INVITE", "tel:+15551234", nil, "404 "},
		{"Max-Forwards", "INVITE", us, []string{"Max-Forwards: 0"}, "483 Too Many Hops"},
		{"Max-Forwards, unknown user", "OPTIONS", s.URI("nobody"), []string{"Max-Forwards: 0"}, "483 Too Many Hops"},
		{"Proxy-Require", "INVITE", us, []string{"Proxy-Require: privacy, foo", "Proxy-Require: bar"}, "420 Bad Extension"},
	} {
		t.Run(test.name, func(t *testing.T) {
			branch := alice.request(test.method, test.uri, test.headers...)
			res := alice.Expect("SIP/2.0 " + test.want)
			if test.method == "INVITE" {
				alice.ack(branch, test.uri, res)
			}
			if res.Line() == "SIP/2.0 420 Bad Extension" {
				same(t, "Unsupported", strings.Join(res.Headers("Unsupported"), ", "), "privacy, foo, bar")
			}
			// Nor is an ACK relayed to anybody, and none is answered. Proxy-Require is not looked
			// at in it (RFC 3261 §8.2.2.3).
			if test.name != "Proxy-Require" {
				alice.request("ACK", test.uri, append([]string{"CSeq: 77 ACK", "Call-ID: ack"}, test.headers...)...)
			}
			alice.Nothing()
			other.Nothing()
			gone.Nothing()
			bob.Nothing()
		})
	}
}

// TestForUs has requests for the server itself, which are not relayed but answered.
func TestForUs(t *testing.T) {
	s := start(t, "@bob from_user bob\nregister @bob\nproxy")
	alice, bob := udp(t, s, "alice"), registered(t, s, "bob")
	alice.request("REGISTER", s.URI("bob"))
	alice.Expect("SIP/2.0 405")
	bob.Nothing()
	for _, uri := range []string{"sip:" + s.Addr.String(), "sip:" + s.Addr.Addr().String(), "sip:localhost"} {
		alice.request("OPTIONS", uri, "Max-Forwards: 0", "Proxy-Require: foo")
		has(t, alice.Expect("SIP/2.0 200"), "\r\nAllow: ")
		alice.request("OPTIONS", uri, "Route: <sip:"+s.Addr.String()+";lr>")
		alice.Expect("SIP/2.0 200")
		alice.request("MESSAGE", uri)
		alice.Expect("SIP/2.0 405")
	}
}

// TestLoop relays to ourselves: the loop ends with 482, long before Max-Forwards ends it.
func TestLoop(t *testing.T) {
	s := start(t, "@calls not from_user probe\nproxy @calls sip:{addr}")
	alice := udp(t, s, "alice")
	branch := alice.invite(s.URI("bob"))
	res := alice.Expect("SIP/2.0 482 Loop Detected")
	alice.ack(branch, s.URI("bob"), res)
	alice.request("MESSAGE", s.URI("bob"), "Max-Forwards: 3", "Call-ID: 2")
	alice.Expect("SIP/2.0 482") // not 483
	alice.Nothing()
}

// TestSpiral comes by twice, with another Request-URI, which is no loop; and its requests within
// the call find their way.
func TestSpiral(t *testing.T) {
	s := start(t, "register\nproxy")
	alice, carol, bob := udp(t, s, "alice"), udp(t, s, "carol"), registered(t, s, "bob")
	carol.register("Contact: <" + s.URI("bob") + ">")
	alice.invite(s.URI("carol"))
	invite := bob.Expect("INVITE " + bob.contact())
	same(t, "Max-Forwards", invite.Header("Max-Forwards"), "68")
	same(t, "Vias", len(invite.Headers("Via")), 3)
	same(t, "Record-Route", len(invite.Headers("Record-Route")), 2)
	bob.pickUp(invite)
	call := alice.caller(alice.Expect("SIP/2.0 200"))
	call.send("ACK")
	ack := bob.Expect("ACK " + bob.contact())
	same(t, "Route", len(ack.Headers("Route")), 0)
	same(t, "Vias", len(ack.Headers("Via")), 2)
	bob.callee(invite).send("BYE")
	bye := alice.Expect("BYE " + alice.contact())
	same(t, "Route", len(bye.Headers("Route")), 0)
	alice.Answer(bye, "200 OK", "")
	bob.Expect("SIP/2.0 200")
	carol.Nothing()
}

// TestSpiralByPBX relays calls to a PBX that is a proxy and sends them back unchanged, so that the
// phone is found. If they only go round, it is a loop.
func TestSpiralByPBX(t *testing.T) {
	s := start(t, "register\n@back header X-Back *\nproxy @back\nproxy sip:{sip.header.X-PBX};lr {\nallow_private\n}")
	alice, bob, pbx := udp(t, s, "alice"), registered(t, s, "bob"), udp(t, s, "pbx")
	n := 0
	back := func(m handlertest.Message, lines string) {
		t.Helper()
		n++
		text := strings.Replace(m.Text, "Route: <sip:"+pbx.Addr.String()+";lr>\r\n", "", 1)
		line, rest, _ := strings.Cut(text, "\r\n")
		pbx.Send(fmt.Sprintf("%s\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKpbx%d\r\n%s%s", line, pbx.Addr, n, lines, rest))
	}
	alice.invite(s.URI("bob"), "X-PBX: "+pbx.Addr.String())
	back(pbx.Expect("INVITE "+s.URI("bob")+" "), "X-Back: 1\r\n")
	invite := bob.Expect("INVITE " + bob.contact())
	same(t, "Vias", len(invite.Headers("Via")), 4)
	bob.pickUp(invite)
	pbx.Expect("SIP/2.0 100")
	pbx.Expect("SIP/2.0 200")

	alice.invite(s.URI("bob"), "X-PBX: "+pbx.Addr.String(), "Call-ID: loop")
	back(pbx.Expect("INVITE "), "")
	pbx.Expect("SIP/2.0 100")
	back(pbx.Expect("INVITE "), "")
	pbx.Expect("SIP/2.0 482")
	bob.Nothing()
}

// TestLoopOfUsers has two users who forward to each other.
func TestLoopOfUsers(t *testing.T) {
	s := start(t, "register\nproxy")
	alice, bob, carol := udp(t, s, "alice"), udp(t, s, "bob"), udp(t, s, "carol")
	bob.register("Contact: <" + s.URI("carol") + ">")
	carol.register("Contact: <" + s.URI("bob") + ">")
	alice.invite(s.URI("bob"))
	alice.Expect("SIP/2.0 482")
	alice.Nothing()
}

// TestForNobody drops a response that has not the caller's Via below ours: it is for nobody further
// on (RFC 3261 §16.7 step 3).
func TestForNobody(t *testing.T) {
	for name, below := range map[string]func(own, caller string) string{
		"nothing":         func(own, caller string) string { return "" },
		"ours again":      func(own, caller string) string { return "\nVia: " + own + "\nVia: " + caller },
		"another one":     func(own, caller string) string { return ", " + strings.Replace(caller, "branch=", "branch=x", 1) },
		"ours, same line": func(own, caller string) string { return "," + own },
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, "register\nproxy")
			alice, bob := udp(t, s, "alice"), registered(t, s, "bob")
			alice.invite(s.URI("bob"))
			invite := bob.Expect("INVITE")
			answer := func(status string) {
				vias := invite.Headers("Via")
				bob.Send("SIP/2.0 " + status + "\nVia: " + vias[0] + below(vias[0], vias[1]) + "\nFrom: " + invite.Header("From") +
					"\nTo: " + invite.Header("To") + ";tag=b\nCall-ID: " + invite.Header("Call-ID") + "\nCSeq: 1 INVITE\n\n")
			}
			answer("180 Ringing")
			alice.Nothing()
			answer("486 Busy Here")
			alice.Expect("SIP/2.0 502 Bad Gateway")
		})
	}
}
