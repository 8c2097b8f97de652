package proxy

import (
	"regexp"
	"strings"
	"testing"
)

// TestCall is a whole call, with every byte of what the callee gets.
func TestCall(t *testing.T) {
	s := start(t, "register\nproxy")
	alice, bob := udp(t, s, "alice"), registered(t, s, "bob")

	alice.Send("INVITE " + s.URI("bob") + ` SIP/2.0
Via: SIP/2.0/UDP 10.9.9.9:5060;branch=z9hG4bKalice;rport
X-First: 1, "2"
Max-Forwards: 70
From: "Alice" <sip:alice@127.0.0.1>;tag=a
To: <sip:bob@127.0.0.1>
Call-ID: call
CSeq: 1 INVITE
m: <sip:alice@{me}>
Supported: timer
Content-Type: application/sdp

v=0
`)
	trying := alice.Expect("SIP/2.0 100 Trying\r\n")
	none(t, trying, "tag=tag") // RFC 3261 §8.2.6.2: a 100 needs no To tag
	invite := bob.Expect("INVITE " + bob.contact() + " SIP/2.0\r\n")
	want := `INVITE ` + bob.contact() + ` SIP/2.0
Via: SIP/2.0/UDP ` + s.Addr.String() + `;branch=BRANCH;rport
Record-Route: <sip:TOKEN@` + s.Addr.String() + `;lr>
Via: SIP/2.0/UDP 10.9.9.9:5060;branch=z9hG4bKalice;rport=PORT;received=127.0.0.1
X-First: 1, "2"
Max-Forwards: 69
From: "Alice" <sip:alice@127.0.0.1>;tag=a
To: <sip:bob@127.0.0.1>
Call-ID: call
CSeq: 1 INVITE
m: <sip:alice@` + alice.Addr.String() + `>
Supported: timer
Content-Type: application/sdp
Content-Length: 5

v=0
`
	got := regexp.MustCompile(`z9hG4bK[0-9a-f]{32}`).ReplaceAllString(invite.Text, "BRANCH")
	got = regexp.MustCompile(`<sip:[A-Za-z0-9_-]{20,}@`).ReplaceAllString(got, "<sip:TOKEN@")
	got = regexp.MustCompile(`rport=\d+`).ReplaceAllString(got, "rport=PORT")
	same(t, "INVITE", got, strings.ReplaceAll(want, "\n", "\r\n"))

	bob.Answer(invite, "180 Ringing", "b", "Contact: <"+bob.contact()+">", "X-Bob: 1")
	ringing := alice.Expect("SIP/2.0 180 Ringing\r\n")
	same(t, "Vias in the 180", len(ringing.Headers("Via")), 1)
	has(t, ringing, "Via: SIP/2.0/UDP 10.9.9.9:5060;branch=z9hG4bKalice;rport=")
	has(t, ringing, "X-Bob: 1\r\n")
	same(t, "Record-Route in the 180", ringing.Header("Record-Route"), invite.Header("Record-Route"))

	bob.Answer(invite, "200 OK", "b", "Contact: <"+bob.contact()+">")
	ok := alice.Expect("SIP/2.0 200 OK\r\n")
	// The callee repeats its 200 until it has the ACK, and every one is relayed (RFC 6026 §7.1).
	bob.Answer(invite, "200 OK", "b", "Contact: <"+bob.contact()+">")
	same(t, "the 200 repeated", alice.Expect("SIP/2.0 200 OK\r\n").Text, ok.Text)

	call := alice.caller(ok)
	call.send("ACK")
	ack := bob.Expect("ACK " + bob.contact() + " SIP/2.0\r\n")
	same(t, "Route in the ACK", len(ack.Headers("Route")), 0)
	same(t, "Record-Route in the ACK", len(ack.Headers("Record-Route")), 0)
	same(t, "Max-Forwards of the ACK", ack.Header("Max-Forwards"), "69")

	call.send("BYE")
	bye := bob.Expect("BYE " + bob.contact() + " SIP/2.0\r\n")
	same(t, "Route in the BYE", len(bye.Headers("Route")), 0)
	same(t, "Record-Route in the BYE", len(bye.Headers("Record-Route")), 0)
	bob.Answer(bye, "200 OK", "")
	has(t, alice.Expect("SIP/2.0 200 OK\r\n"), " BYE\r\n")
	alice.Nothing()
	bob.Nothing()
}

// TestByeFromCallee follows the Record-Route in the other direction.
func TestByeFromCallee(t *testing.T) {
	s := start(t, "register\nproxy")
	alice, bob := udp(t, s, "alice"), registered(t, s, "bob")
	alice.invite(s.URI("bob"))
	invite := bob.Expect("INVITE")
	bob.pickUp(invite)
	alice.caller(alice.Expect("SIP/2.0 200")).send("ACK")
	bob.Expect("ACK")
	bob.callee(invite).send("BYE")
	bye := alice.Expect("BYE " + alice.contact() + " SIP/2.0\r\n")
	same(t, "Route in the BYE", len(bye.Headers("Route")), 0)
	alice.Answer(bye, "200 OK", "")
	has(t, bob.Expect("SIP/2.0 200 OK\r\n"), " BYE\r\n")
	alice.Nothing()
}

// TestRepeated makes sure that what comes twice goes out once.
func TestRepeated(t *testing.T) {
	s := start(t, "register\nproxy")
	alice, bob := udp(t, s, "alice"), registered(t, s, "bob")
	again := func(method string, cseq int) {
		alice.cseq = cseq - 1
		alice.request(method, s.URI("bob"))
	}
	again("INVITE", 1)
	trying := alice.Expect("SIP/2.0 100")
	invite := bob.Expect("INVITE")
	again("INVITE", 1)
	same(t, "the 100 repeated", alice.Expect("SIP/2.0 100").Text, trying.Text)
	bob.Nothing()
	bob.Answer(invite, "486 Busy Here", "b")
	has(t, bob.Expect("ACK "+bob.contact()), "\r\nCSeq: 1 ACK\r\n")
	busy := alice.Expect("SIP/2.0 486 Busy Here")
	// The ACK is hop by hop: one more 486 from the callee gets another ACK, and the caller nothing.
	bob.Answer(invite, "486 Busy Here", "b")
	bob.Expect("ACK")
	again("INVITE", 1)
	same(t, "the 486 repeated", alice.Expect("SIP/2.0 486").Text, busy.Text)
	alice.cseq = 2
	alice.ack("z9hG4bK-alice-1", s.URI("bob"), busy)
	alice.Nothing()
	bob.Nothing()

	again("MESSAGE", 5)
	message := bob.Expect("MESSAGE")
	again("MESSAGE", 5)
	alice.Nothing()
	bob.Nothing()
	bob.Answer(message, "200 OK", "b")
	ok := alice.Expect("SIP/2.0 200")
	again("MESSAGE", 5)
	same(t, "the 200 repeated", alice.Expect("SIP/2.0 200").Text, ok.Text)
	alice.Nothing()
	bob.Nothing()
}

// TestNAT has both ends tell addresses that cannot be reached; packets must go to where theirs come
// from.
func TestNAT(t *testing.T) {
	s := start(t, "register\nproxy")
	alice, bob := udp(t, s, "alice"), udp(t, s, "bob")
	const aliceURI, bobURI = "sip:alice@192.168.1.2:5060", "sip:bob@10.1.2.3:5070;line=1"
	via := func(b string) string { return "Via: SIP/2.0/UDP 192.168.1.2:5060;branch=z9hG4bK" + b + ";rport" }
	bob.register("Contact: <" + bobURI + ">")

	alice.invite(s.URI("bob"), via("1"), "Contact: <"+aliceURI+">")
	invite := bob.Expect("INVITE " + bobURI + " SIP/2.0\r\n")
	bob.pickUp(invite, "Contact: <"+bobURI+">")
	call := alice.caller(alice.Expect("SIP/2.0 200"))
	call.send("ACK", via("2"))
	bob.Expect("ACK " + bobURI + " SIP/2.0\r\n")
	call.send("INFO", via("3"))
	info := bob.Expect("INFO " + bobURI + " SIP/2.0\r\n")
	bob.Answer(info, "200 OK", "")
	alice.Expect("SIP/2.0 200")
	bob.callee(invite).send("BYE", "Via: SIP/2.0/UDP 10.1.2.3:5070;branch=z9hG4bK4;rport")
	bye := alice.Expect("BYE " + aliceURI + " SIP/2.0\r\n")
	alice.Answer(bye, "200 OK", "")
	bob.Expect("SIP/2.0 200")
}

// TestTransports has callers and callees on TCP and UDP, with Contacts that lead nowhere: only
// connections and sources do.
func TestTransports(t *testing.T) {
	for _, test := range []struct{ name, caller, callee string }{
		{"tcp-udp", "tcp", "udp"}, {"udp-tcp", "udp", "tcp"}, {"tcp-tcp", "tcp", "tcp"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := start(t, "register\nproxy")
			make := func(network, user string) *phone {
				if network == "tcp" {
					return newPhone(t, s, s.TCP(), user)
				}
				return udp(t, s, user)
			}
			alice, bob := make(test.caller, "alice"), make(test.callee, "bob")
			const aliceURI, bobURI = "sip:alice@192.0.2.7", "sip:bob@192.0.2.8"
			bob.register("Contact: <" + bobURI + ">")
			alice.invite(s.URI("bob"), "Contact: <"+aliceURI+">")
			invite := bob.Expect("INVITE " + bobURI)
			has(t, invite, "Via: SIP/2.0/"+strings.ToUpper(test.callee)+" "+s.Addr.String())
			has(t, invite, "Content-Length: 0\r\n")
			routes := invite.Headers("Record-Route")
			if test.caller == test.callee {
				same(t, "Record-Route values", len(routes), 1)
			} else {
				// Each side gets the value for its own transport (RFC 5658 §4): the callee the
				// first, the caller the last.
				same(t, "Record-Route values", len(routes), 2)
				same(t, "the first is for TCP", strings.Contains(routes[0], ";transport=tcp;lr>"), test.callee == "tcp")
				same(t, "the second is for TCP", strings.Contains(routes[1], ";transport=tcp;lr>"), test.caller == "tcp")
			}
			bob.pickUp(invite, "Contact: <"+bobURI+">")
			call := alice.caller(alice.Expect("SIP/2.0 200"))
			call.send("ACK")
			ack := bob.Expect("ACK " + bobURI)
			same(t, "Route in the ACK", len(ack.Headers("Route")), 0)
			has(t, ack, "Content-Length: 0\r\n")
			bob.callee(invite).send("BYE")
			bye := alice.Expect("BYE " + aliceURI)
			same(t, "Route in the BYE", len(bye.Headers("Route")), 0)
			alice.Answer(bye, "200 OK", "")
			bob.Expect("SIP/2.0 200")
		})
	}
}

// TestContentLength adds the field to a request without one, which came by UDP and goes out by TCP.
func TestContentLength(t *testing.T) {
	s := start(t, "register\nproxy")
	alice, bob := udp(t, s, "alice"), newPhone(t, s, s.TCP(), "bob")
	bob.register()
	alice.SendRaw([]byte("MESSAGE " + s.URI("bob") + " SIP/2.0\r\nVia: SIP/2.0/UDP " + alice.Addr.String() + ";branch=z9hG4bK1\r\n" +
		"From: <sip:alice@127.0.0.1>;tag=a\r\nTo: <sip:bob@127.0.0.1>\r\nCall-ID: 1\r\nCSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\n\r\nhello"))
	m := bob.Expect("MESSAGE")
	has(t, m, "\r\nContent-Length: 5\r\n\r\nhello")
	has(t, m, "\r\nMax-Forwards: 70\r\n") // there was none (RFC 3261 §16.6 step 3)
	bob.Answer(m, "200 OK", "b")
	alice.Expect("SIP/2.0 200")
}

// TestLarge keeps a large request on UDP: the transport is the one that the callee registered with.
func TestLarge(t *testing.T) {
	s := start(t, "register\nproxy")
	alice, bob := udp(t, s, "alice"), registered(t, s, "bob")
	long := strings.Repeat("x", 8000)
	alice.request("MESSAGE", s.URI("bob"), "X-Long: "+long)
	m := bob.Expect("MESSAGE")
	same(t, "the long field", m.Header("X-Long"), long)
	bob.Answer(m, "200 OK", "b", "X-Long: "+long)
	same(t, "the long field", alice.Expect("SIP/2.0 200").Header("X-Long"), long)
}

// TestRestart has a call go on after the server was stopped and started again.
func TestRestart(t *testing.T) {
	s := start(t, "register\nproxy")
	alice, bob := udp(t, s, "alice"), udp(t, s, "bob")
	bob.register("Contact: <sip:bob@192.0.2.1>")
	alice.invite(s.URI("bob"))
	invite := bob.Expect("INVITE")
	bob.pickUp(invite, "Contact: <sip:bob@192.0.2.1>")
	call := alice.caller(alice.Expect("SIP/2.0 200"))
	call.send("ACK")
	bob.Expect("ACK")

	s.Restart()
	call.send("BYE")
	bye := bob.Expect("BYE sip:bob@192.0.2.1 SIP/2.0\r\n")
	bob.Answer(bye, "200 OK", "")
	alice.Expect("SIP/2.0 200")
}

// TestProvisionalOfOthers relays no provisional response to what is no INVITE (RFC 4320 §4.1), and
// takes what a Request-URI must not have out of a Contact (RFC 3261 §19.1.1).
func TestProvisionalOfOthers(t *testing.T) {
	s := start(t, "register\nproxy")
	alice, bob := udp(t, s, "alice"), udp(t, s, "bob")
	bob.register("Contact: <" + bob.contact() + ";line=x?Subject=y>")
	alice.request("MESSAGE", s.URI("bob"))
	m := bob.Expect("MESSAGE " + bob.contact() + ";line=x SIP/2.0\r\n")
	bob.Answer(m, "183 Thinking", "b")
	bob.Answer(m, "200 OK", "b")
	alice.Expect("SIP/2.0 200")
}
