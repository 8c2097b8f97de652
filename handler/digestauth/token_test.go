package digestauth

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddysip/caddysip/handler/handlertest"
)

// outsider is an end of a call that is no user, as somebody speaks for it.
func outsider(p *handlertest.Peer, invite handlertest.Message, cseq *int, method, uri string, headers ...string) {
	*cseq++
	lines := append([]string{
		"Via: SIP/2.0/{transport} {me};branch={branch};rport", "Max-Forwards: 70", "From: " + invite.Header("To") + ";tag=tag-bob",
		"To: " + invite.Header("From"), "Call-ID: " + invite.Header("Call-ID"), fmt.Sprintf("CSeq: %d %s", *cseq, method),
	}, append(routes(invite, false), headers...)...)
	p.Send(method + " " + uri + " SIP/2.0\n" + strings.Join(lines, "\n") + "\n\n")
}

// TestTokenOfOthers has strangers, a user of another name, and the other end itself bring the
// Record-Route of a call back.
func TestTokenOfOthers(t *testing.T) {
	s := handlertest.Start(t, "digest_auth {\n"+users+"}\nregister\nproxy {\nallow_private\n}")
	alice, bob, far := registered(t, s, "udp", "alice"), registered(t, s, "udp", "bob"), s.UDPFrom("127.0.0.7")
	invite, _ := call(t, alice, fmt.Sprintf("sip:far@%s", far.Addr), far)
	victim := s.UDPFrom("127.0.0.9")
	victimURI := fmt.Sprintf("sip:victim@%s", victim.Addr)
	cseq := 1
	for _, stranger := range []*handlertest.Peer{s.UDPFrom("127.0.0.8"), s.UDPFrom("127.0.0.7"), s.TCP(), bob.Peer} {
		for _, method := range []string{"MESSAGE", "INVITE", "BYE", "NOTIFY"} {
			outsider(stranger, invite, &cseq, method, victimURI)
			stranger.Expect("SIP/2.0 407")
		}
		outsider(stranger, invite, &cseq, "ACK", victimURI)
		stranger.Nothing()
	}
	victim.Nothing()
	alice.Nothing()
	far.Nothing()

	// The other end reaches the caller without credentials, and nobody else.
	outsider(far, invite, &cseq, "BYE", victimURI)
	alice.Answer(alice.Expect("BYE "), "200 OK", "")
	far.Expect("SIP/2.0 200")
	// The call is over. It is said so to the two who were in it, and nobody is asked for a
	// password.
	counts(t, s, func() {
		for _, method := range []string{"MESSAGE", "INVITE", "BYE"} {
			outsider(far, invite, &cseq, method, victimURI)
			far.Expect("SIP/2.0 481")
		}
		outsider(far, invite, &cseq, "ACK", victimURI)
	})
	far.Nothing()
	victim.Nothing()
	alice.Nothing()
}

// TestMovedAuthenticates has a phone that a NAT gave another port within a call: it is challenged,
// and then its request goes on to the other end.
func TestMovedAuthenticates(t *testing.T) {
	s := start(t, "")
	alice, bob := registered(t, s, "udp", "alice"), registered(t, s, "udp", "bob")
	invite, ok := call(t, alice, uri("bob"), bob.Peer)
	bye := func(from *phone, credentials ...string) {
		headers := append([]string{"To: " + ok.Header("To"), "From: " + invite.Header("From"), "Call-ID: " + invite.Header("Call-ID")}, routes(ok, true)...)
		from.Send(from.request("BYE", bobContact(bob.Peer), append(headers, credentials...)...))
	}
	moved := newPhone(t, s, "udp", "alice")
	moved.cseq = 50
	bye(moved)
	c := challenges(t, moved.Expect("SIP/2.0 407"))[0]
	bob.Nothing()
	bye(moved, moved.answers(c, "BYE", bobContact(bob.Peer), 1))
	bob.Answer(bob.Expect("BYE "), "200 OK", "")
	moved.Expect("SIP/2.0 200")
}

// TestACKWithCredentials has the ACK of a call that the caller has at another address than it
// called, which only its credentials allow.
func TestACKWithCredentials(t *testing.T) {
	s := handlertest.Start(t, "digest_auth {\n"+users+"failures 3\n}\nregister\nproxy {\nallow_private\n}")
	alice, far, other := registered(t, s, "udp", "alice"), s.UDPFrom("127.0.0.7"), s.UDPFrom("127.0.0.8")
	to := fmt.Sprintf("sip:bob@%s", far.Addr)
	c := alice.challenged("INVITE", to)
	credentials := alice.answers(c, "INVITE", to, 1)
	alice.Send(alice.request("INVITE", to, credentials))
	invite := far.Expect("INVITE ")
	alice.Expect("SIP/2.0 100")
	far.Answer(invite, "200 OK", "tag-bob", "Contact: <"+bobContact(other)+">")
	ok := alice.Expect("SIP/2.0 200")
	alice.Ignore(ok)
	ack := func(p *phone, headers ...string) {
		headers = append([]string{"To: " + ok.Header("To"), "Call-ID: " + ok.Header("Call-ID")}, append(routes(ok, true), headers...)...)
		p.Send(p.request("ACK", bobContact(other), headers...))
	}
	ack(alice, credentials)
	same(t, "Proxy-Authorization", other.Expect("ACK ").Header("Proxy-Authorization"), "")
	ack(alice)
	far.Expect("ACK ") // without, to who was called
	// One whose credentials are for another call is anybody's.
	wrong := alice.answers(alice.challenged("INVITE", uri("x")), "INVITE", uri("x"), 1)
	ack(alice, wrong)
	far.Expect("ACK ")

	// A stranger's goes nowhere, and is a guess like any other.
	mallory := newPhone(t, s, "udp", "alice")
	mallory.password = "guess"
	mallory.cseq = 50
	challenge := mallory.challenged("INVITE", to)
	before := outcome(s, "wrong")
	ack(mallory, mallory.answers(challenge, "INVITE", to, 1))
	s.Await(before+1, "caddy_sip_authentication_total", "outcome=wrong")
	other.Nothing()
	far.Nothing()
	if !slices.Contains(ok.Headers("Record-Route"), invite.Header("Record-Route")) {
		t.Error("the test has no token")
	}
}

// TestACKWithOldCredentials has an ACK whose credentials are good no more: it goes where a
// stranger's would.
func TestACKWithOldCredentials(t *testing.T) {
	s := handlertest.Start(t, "digest_auth {\n"+users+"nonce_lifetime 1s\n}\nregister\nproxy {\nallow_private\n}")
	alice, far, other := newPhone(t, s, "udp", "alice"), s.UDPFrom("127.0.0.7"), s.UDPFrom("127.0.0.8")
	to := fmt.Sprintf("sip:bob@%s", far.Addr)
	credentials := ""
	var invite handlertest.Message
	for range 10 { // the nonce may have ended before it is used
		c := alice.challenged("INVITE", to)
		credentials = alice.answers(c, "INVITE", to, 1)
		alice.Send(alice.request("INVITE", to, credentials))
		if m := alice.Receive(); strings.HasPrefix(m.Text, "SIP/2.0 100") {
			invite = far.Expect("INVITE ")
			break
		}
	}
	far.Answer(invite, "200 OK", "tag-bob", "Contact: <"+bobContact(other)+">")
	ok := alice.Expect("SIP/2.0 200")
	alice.Ignore(ok)
	ack := func() {
		alice.Send(alice.request("ACK", bobContact(other), append([]string{"To: " + ok.Header("To"), "Call-ID: " + ok.Header("Call-ID"), credentials},
			routes(ok, true)...)...))
	}
	// A nonce of after the INVITE's has ended when that of the INVITE has.
	p := newPhone(t, s, "udp", "alice")
	c := p.challenged("REGISTER", "sip:127.0.0.1")
	for count := 1; ; count++ {
		p.Send(p.register(p.answers(c, "REGISTER", "sip:127.0.0.1", count)))
		if res := p.Receive(); !strings.HasPrefix(res.Text, "SIP/2.0 200") {
			break
		}
	}
	ack()
	far.Expect("ACK ")
	other.Nothing()
}
