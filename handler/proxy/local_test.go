package proxy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddysip/caddysip/handler/handlertest"
)

// TestPhonesContact calls phones by their registered Contact, as a phone does when a call is
// transferred.
func TestPhonesContact(t *testing.T) {
	for _, user := range []string{"", "alice"} {
		t.Run("user "+user, func(t *testing.T) {
			s := start(t, "test_trust\nregister\nproxy")
			alice, bob, carol := registered(t, s, "alice"), udp(t, s, "bob"), newPhone(t, s, s.TCP(), "carol")
			bob.register("Contact: <sip:bob@192.168.7.7:5060;line=abc>")
			carol.register("Contact: <sip:q7x@192.168.7.8:1024;transport=tcp>") // none that names her
			x := "X-User: " + user
			for i, test := range []struct {
				uri  string
				to   *phone
				want string
			}{
				{"sip:bob@192.168.7.7:5060;line=abc", bob, "sip:bob@192.168.7.7:5060;line=abc"},
				{"sip:%62ob@192.168.7.7:5060;ob", bob, "sip:bob@192.168.7.7:5060;line=abc"},
				{"sip:q7x@192.168.7.8:1024", carol, "sip:q7x@192.168.7.8:1024;transport=tcp"},
			} {
				id := fmt.Sprint("Call-ID: call-", i)
				alice.invite(test.uri, x, id)
				m := test.to.Expect("INVITE " + test.want + " SIP/2.0")
				test.to.pickUp(m)
				call := alice.caller(alice.Expect("SIP/2.0 200"))
				reaches(t, call, test.to, "BYE")
				// What controls a phone does not pass by its Contact either.
				alice.request("MESSAGE", test.uri, x, "Content-Type: application/x-buttons",
					"Call-ID: keys-"+fmt.Sprint(i))
				alice.Expect("SIP/2.0 403 Remote Control Not Allowed")
				test.to.Nothing()
			}
			for _, uri := range []string{"sip:bob@192.168.7.7", "sip:bob@192.168.7.9:5060;line=abc",
				"sip:x@192.168.7.7:5060;line=abc", "sip:192.168.7.7:5060"} {
				alice.request("MESSAGE", uri, x)
				alice.Expect("SIP/2.0 403")
			}
			bob.Nothing()
			carol.Nothing()
		})
	}
}

// TestPhonesOldContact calls a phone by a Contact that it no longer has.
func TestPhonesOldContact(t *testing.T) {
	s := start(t, "register\nproxy")
	alice, before, now, other := registered(t, s, "alice"), udp(t, s, "bob"), udp(t, s, "bob"), udp(t, s, "bob")
	const phone = `;+sip.instance="<urn:uuid:1>"`
	before.register("Contact: <sip:bob@192.168.7.7:5060;line=1>"+phone, "Call-ID: 1")
	now.register("Contact: <sip:bob@192.168.7.7:5060;line=2>"+phone, "Call-ID: 2")
	other.register("Contact: <sip:bob@192.168.7.8:5060>", "Call-ID: 3")
	alice.invite("sip:bob@192.168.7.7:5060;line=1")
	now.Expect("INVITE sip:bob@192.168.7.7:5060;line=2 SIP/2.0")
	before.Nothing()
	other.Nothing()
}

// TestForwardedPort calls users at a port that is forwarded to the server. Users who register there
// are called there.
func TestForwardedPort(t *testing.T) {
	addr := handlertest.FreeAddr(t)
	s := handlertest.StartCaddyfile(t, addr, strings.Replace(handlertest.Caddyfile(addr, "test_calm\nregister\nproxy"),
		"sip {", "sip {\n\t\tdomain example.com", 1))
	alice, bob := udp(t, s, "alice"), udp(t, s, "bob")
	alice.register("To: <sip:alice@example.com:5070>")
	bob.request("REGISTER", "sip:example.com:5070", "To: <sip:bob@example.com:5070>")
	bob.Expect("SIP/2.0 200")
	at := addr.Addr().String()
	for i, uri := range []string{"sip:bob@example.com:5070", "sip:bob@example.com", "sip:bob@" + at + ":5070"} {
		alice.invite(uri, fmt.Sprint("Call-ID: call-", i))
		m := bob.Expect("INVITE sip:bob@" + bob.Addr.String() + " SIP/2.0")
		bob.pickUp(m)
		reaches(t, alice.caller(alice.Expect("SIP/2.0 200")), bob, "BYE")
	}
	alice.request("OPTIONS", "sip:example.com:5070", "Call-ID: options")
	alice.Expect("SIP/2.0 200")
	// Who has never registered is none of ours at a port that is not.
	for uri, status := range map[string]string{"sip:dave@example.com:5070": "404", "sip:dave@" + at + ":5070": "403",
		"sip:bob@" + at + ":5070;maddr=192.0.2.1": "403"} {
		alice.request("MESSAGE", uri, "Call-ID: "+uri)
		alice.Expect("SIP/2.0 " + status)
	}
	bob.Nothing()
	bob.request("REGISTER", "sip:example.com:5070", "To: <sip:bob@example.com:5070>", "Expires: 0")
	bob.Expect("SIP/2.0 200")
	alice.request("MESSAGE", "sip:bob@"+at+":5070", "Call-ID: gone")
	alice.Expect("SIP/2.0 480")
}

// TestNameOfOurs uses a name of the server that it doesn't know yet, in Route or in the
// Request-URI. For unknown senders nothing is looked up.
func TestNameOfOurs(t *testing.T) {
	s := start(t, "test_trust\nregister\nproxy")
	d := startDNS(t, `
pbx   A 192.0.2.1
pbx   A 127.0.0.1
far   A 127.0.0.9
`)
	setResolver(t, d.Dial)
	s.Restart()
	at := ":" + fmt.Sprint(s.Addr.Port())
	for i, test := range []struct{ uri, route, user string }{
		{"", "<sip:pbx.example" + at + ";lr>", ""},
		{"", "<sip:PBX.example" + at + ";lr>, <sip:" + s.Addr.String() + ";lr>", ""},
		{"sip:bob@pbx.example" + at, "", ""},
		{"", "<sip:pbx.example" + at + ";lr>", "alice"},
		{"sip:bob@pbx.example" + at, "", "alice"},
		{"sip:bob@pbx.example" + at, "<sip:pbx.example" + at + ";lr>", "alice"},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			s.Restart() // nothing is remembered
			stranger, alice, bob := udp(t, s, "alice"), registered(t, s, "alice"), registered(t, s, "bob")
			uri, headers := test.uri, []string{"X-User: " + test.user, fmt.Sprint("Call-ID: name-", i)}
			if uri == "" {
				uri = s.URI("bob")
			}
			if test.route != "" {
				headers = append(headers, "Route: "+test.route)
			}
			if test.user == "" {
				stranger.request("MESSAGE", uri, append(headers, "Call-ID: stranger")...)
				stranger.Expect("SIP/2.0 403 Relaying Denied")
				if len(d.asked) > 0 {
					t.Errorf("%s is looked up for a stranger", <-d.asked)
				}
			}
			alice.invite(uri, headers...)
			m := bob.Expect("INVITE sip:bob@" + bob.Addr.String() + " SIP/2.0")
			none(t, m, "\r\nRoute: ")
			bob.pickUp(m)
			for call := alice.caller(alice.Expect("SIP/2.0 200")); len(d.asked) > 0; {
				<-d.asked
				reaches(t, call, bob, "INFO")
			}
			// It is known now.
			alice.request("MESSAGE", uri, append(headers, "Call-ID: again")...)
			bob.Answer(bob.Expect("MESSAGE"), "200 OK", "t")
			alice.Expect("SIP/2.0 200")
			if len(d.asked) > 0 {
				t.Errorf("%s is looked up again", <-d.asked)
			}
		})
	}
	alice := registered(t, s, "alice")
	for i, uri := range []string{"sip:bob@far.example" + at, "sip:bob@none.example" + at, "sip:dave@pbx.example:1",
		"sip:bob@127.0.0.9" + at} {
		alice.request("MESSAGE", uri, fmt.Sprint("Call-ID: far-", i))
		alice.Expect("SIP/2.0 403 Relaying Denied")
		alice.request("MESSAGE", s.URI("alice"), fmt.Sprint("Call-ID: far-route-", i),
			"Route: <"+strings.Replace(uri, "bob@", "", 1)+";lr>")
		alice.Expect("SIP/2.0 403 Relaying Denied")
	}
}

// TestAdvertise calls the server by what it advertises, and checks that it uses that for itself.
func TestAdvertise(t *testing.T) {
	for _, test := range []struct{ option, udp, tcp string }{
		{"203.0.113.7", "203.0.113.7:%d", "203.0.113.7:%d"},
		{"203.0.113.7:5070", "203.0.113.7:5070", "203.0.113.7:5070"},
		{"[2001:db8::7]:5070", "[2001:db8::7]:5070", "[2001:db8::7]:5070"},
		{"PBX.example.com", "pbx.example.com:%d", "pbx.example.com:%d"},
		{"pbx.example.com:5070", "pbx.example.com:5070", "pbx.example.com:5070"},
	} {
		t.Run(test.option, func(t *testing.T) {
			s := start(t, "advertise "+test.option+"\nregister\nproxy")
			name := func(text string) string {
				if strings.Contains(text, "%d") {
					return fmt.Sprintf(text, s.Addr.Port())
				}
				return text
			}
			alice, bob, carol := registered(t, s, "alice"), registered(t, s, "bob"), newPhone(t, s, s.TCP(), "carol")
			carol.register()
			for i, to := range []*phone{bob, carol} {
				alice.invite(s.URI(to.user), fmt.Sprint("Call-ID: call-", i))
				m := to.Expect("INVITE ")
				self := name(test.udp)
				if to == carol {
					self = name(test.tcp)
				}
				if got := m.Headers("Via")[0]; !strings.HasPrefix(got, "SIP/2.0/"+to.Transport()+" "+self+";branch=") {
					t.Errorf("Via: %s, want %s", got, self)
				}
				for _, rr := range m.Headers("Record-Route") {
					if !strings.Contains(rr, "@"+self) {
						t.Errorf("Record-Route: %s, want %s", rr, self)
					}
				}
				to.pickUp(m)
				call := alice.caller(alice.Expect("SIP/2.0 200"))
				reaches(t, call, to, "INFO")
				reaches(t, to.callee(m), alice, "BYE")
			}
			// It stands for the server everywhere.
			self := name(test.udp)
			alice.request("OPTIONS", "sip:"+self, "Call-ID: options")
			alice.Expect("SIP/2.0 200")
			alice.request("MESSAGE", "sip:bob@"+self, "Call-ID: message", "Route: <sip:"+self+";lr>")
			bob.Answer(bob.Expect("MESSAGE"), "200 OK", "t")
			alice.Expect("SIP/2.0 200")
			alice.request("REGISTER", "sip:"+self, "To: <sip:alice@"+self+">", "Call-ID: reg-alice")
			alice.Expect("SIP/2.0 200")
		})
	}
}
