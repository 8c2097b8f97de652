package digestauth

import (
	"regexp"
	"strings"
	"testing"

	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/internal/inside"
)

// TestChallenge has requests without credentials. None gets any further.
func TestChallenge(t *testing.T) {
	s := start(t, "")
	for _, transport := range []string{"udp", "tcp"} {
		alice, bob := newPhone(t, s, transport, "alice"), registered(t, s, transport, "bob")
		for _, test := range []struct{ method, uri, status, field string }{
			{"REGISTER", "sip:127.0.0.1", "401 Unauthorized", "WWW-Authenticate"},
			{"OPTIONS", "sip:127.0.0.1", "401 Unauthorized", "WWW-Authenticate"},
			{"REGISTER", "sip:example.org", "407 Proxy Authentication Required", "Proxy-Authenticate"},
			{"INVITE", uri("bob"), "407 Proxy Authentication Required", "Proxy-Authenticate"},
			{"MESSAGE", uri("bob"), "407 Proxy Authentication Required", "Proxy-Authenticate"},
			{"SUBSCRIBE", uri("nobody"), "407 Proxy Authentication Required", "Proxy-Authenticate"},
			{"INVITE", "sip:bob@example.org", "407 Proxy Authentication Required", "Proxy-Authenticate"},
			{"BOGUS", uri("bob"), "407 Proxy Authentication Required", "Proxy-Authenticate"},
		} {
			counts(t, s, func() {
				res := alice.ask(alice.request(test.method, test.uri), test.status)
				got := res.Headers(test.field)
				// The same nonce for both: the client uses one of them.
				want := regexp.MustCompile(`^Digest realm="caddysip", nonce="([\w-]{36})", algorithm=SHA-256, qop="auth"\|` +
					`Digest realm="caddysip", nonce="([\w-]{36})", algorithm=MD5, qop="auth"$`)
				nonce := want.FindStringSubmatch(strings.Join(got, "|"))
				if nonce == nil || nonce[1] != nonce[2] {
					t.Errorf("%s %s: %q", test.method, test.uri, got)
				}
				n := strings.Count(res.Text, "-Authenticate:")
				same(t, "challenges", n, 2)
			}, "challenged")
		}
		same(t, "bindings of alice", bindings(s, "alice@localhost"), 0)
		for _, p := range []*phone{alice, bob} {
			c := p.challenged("OPTIONS", "sip:127.0.0.1") // nothing else is there
			same(t, "realm", c.Realm, "caddysip")
		}
	}
	same(t, "transactions", inside.AppOf(s.App()).Engine.Transactions.Len(), 0)
}

// TestOffers has which algorithms are offered, and in which order.
func TestOffers(t *testing.T) {
	md5, sha256 := strings.Repeat("0", 32), strings.Repeat("0", 64)
	for _, test := range []struct{ options, agent, want string }{
		{"user alice secret-alice", "", "SHA-256 MD5"},
		{"user alice secret-alice", "User-Agent: snomD785/10.1.159.12", "MD5 SHA-256"},
		{"user alice secret-alice", "User-Agent: baresip", "SHA-256 MD5"},
		{"user alice secret-alice\nalgorithm SHA-256 MD5", "User-Agent: snom370/8.7.5.48", "SHA-256 MD5"},
		{"user alice secret-alice\nalgorithm md5", "", "MD5"},
		{"user alice secret-alice", "User-Agent: baresip v1.0.0 (x86_64/linux)", "MD5"},
		{"user alice secret-alice", "User-Agent: baresip v3.5.0", "SHA-256 MD5"},
		{"user alice secret-alice", "User-Agent: sipsak 0.9.8.1", "MD5"},
		{"user alice SHA-256:" + sha256, "User-Agent: sipsak 0.9.8.1", "SHA-256"}, // in vain, but there is no other
		{"user alice secret-alice\nalgorithm SHA-256 MD5", "User-Agent: sipsak 0.9.8.1", "SHA-256 MD5"},
		{"user alice secret-alice\nalgorithm old* MD5", "User-Agent: OldPhone/1", "MD5"},
		{"user alice secret-alice\nalgorithm old* MD5", "User-Agent: NewPhone/1", "SHA-256 MD5"},
		{"user alice secret-alice\nalgorithm old* MD5", "", "SHA-256 MD5"},
		{"user alice secret-alice\nalgorithm old* MD5", "User-Agent: snom370/8.7.5.48", "MD5 SHA-256"},
		{"user alice secret-alice\nalgorithm SHA-256\nalgorithm old* MD5 SHA-256\nalgorithm *phone* SHA-512-256",
			"User-Agent: OldPhone/1", "MD5 SHA-256"},
		{"user alice secret-alice\nalgorithm SHA-256\nalgorithm old* MD5 SHA-256\nalgorithm *phone* SHA-512-256",
			"User-Agent: APhone", "SHA-512-256"},
		{"user alice secret-alice\nalgorithm SHA-256\nalgorithm *phone* SHA-512-256", "User-Agent: other", "SHA-256"},
		{"user alice secret-alice\nalgorithm MD5 sha-512-256 SHA-256", "", "MD5 SHA-512-256 SHA-256"},
		{"user alice secret-alice\nuser bob MD5:" + md5, "", "MD5"},
		{"user alice secret-alice\nuser bob SHA-256:" + sha256, "", "SHA-256"},
		{"user alice MD5:" + md5 + " SHA-256:" + sha256, "", "SHA-256 MD5"},
		{"user alice MD5:" + md5 + "\nuser bob SHA-256:" + sha256, "", "SHA-256 MD5"},
		{"user alice SHA-512-256:" + sha256, "", "SHA-256 MD5"}, // it has to be named to be offered
		{"user alice MD5:" + md5 + "\nalgorithm SHA-256 MD5", "", "SHA-256 MD5"},
	} {
		t.Run(test.options+test.agent, func(t *testing.T) {
			s := handlertest.Start(t, "digest_auth {\n"+test.options+"\n}")
			p := newPhone(t, s, "udp", "alice")
			var headers []string
			if test.agent != "" {
				headers = append(headers, test.agent)
			}
			var got []string
			for _, c := range challenges(t, p.ask(p.register(headers...), "401")) {
				got = append(got, c.Algorithm)
			}
			same(t, "offered", strings.Join(got, " "), test.want)
			// What is not offered is not taken, whoever has a hash for it. Of the default ones all are.
			want := test.want
			if test.agent != "" && !strings.Contains(test.options, "algorithm") {
				want += " MD5 SHA-256"
			}
			c := p.challenged("REGISTER", "sip:127.0.0.1")
			for _, a := range []string{"MD5", "SHA-256", "SHA-512-256"} {
				if !strings.Contains(" "+want+" ", " "+a+" ") {
					c.Algorithm = a
					answer := append([]string{p.answers(c, "REGISTER", "sip:127.0.0.1", 1)}, headers...)
					counts(t, s, func() { p.ask(p.register(answer...), "401") }, "challenged")
				}
			}
		})
	}
}

// TestAccepted checks that an algorithm that a client is not offered is not accepted from it
// either, except in an ACK, which may lack the User-Agent of its INVITE.
func TestAccepted(t *testing.T) {
	s := handlertest.Start(t, "digest_auth {\n"+users+"\nalgorithm SHA-256\nalgorithm old* MD5\n}\nregister\nproxy")
	for _, test := range []struct{ agent, answers, status string }{
		{"OldPhone/1", "MD5", "200"}, {"NewPhone/1", "SHA-256", "200"}, {"NewPhone/1", "MD5", "401"},
		{"OldPhone/1", "SHA-256", "401"},
	} {
		p := newPhone(t, s, "udp", "alice")
		agent := "User-Agent: " + test.agent
		c := challenges(t, p.ask(p.register(agent), "401"))[0]
		if test.status == "200" {
			same(t, "offered to "+test.agent, c.Algorithm, test.answers)
		}
		c.Algorithm = test.answers
		p.Send(p.register(agent, p.answers(c, "REGISTER", "sip:127.0.0.1", 1)))
		if res := p.Receive(); !strings.HasPrefix(res.Text, "SIP/2.0 "+test.status) {
			t.Errorf("%s answers by %s: %s", test.agent, test.answers, res.Line())
		}
	}
}

// TestNeverChallenged has what cannot be challenged (RFC 3261 §22.1). The handlers that follow decide.
func TestNeverChallenged(t *testing.T) {
	s := start(t, "")
	bob := registered(t, s, "udp", "bob")
	alice := newPhone(t, s, "udp", "alice")
	counts(t, s, func() {
		alice.ask(alice.request("CANCEL", uri("bob")), "481 ")
		alice.Send(alice.request("ACK", uri("bob"), "Authorization: "+strings.Repeat(",", 5000)))
		alice.Nothing()
		bob.Nothing() // a stranger's ACK goes nowhere
	}, "challenged", "challenged") // the OPTIONS of Nothing
	// One with the credentials of its INVITE does (RFC 3261 §22.1), once the INVITE has used them and again, and they go no further.
	c := alice.challenged("INVITE", uri("bob"))
	credentials := alice.answers(c, "INVITE", uri("bob"), 1)
	alice.Send(alice.request("INVITE", uri("bob"), credentials))
	bob.Answer(bob.Expect("INVITE "), "200 OK", "b", "Contact: <"+uri("bob")+">")
	alice.Expect("SIP/2.0 100")
	alice.Expect("SIP/2.0 200")
	alice.Send(alice.request("ACK", uri("bob"), credentials, `Proxy-Authorization-Info: x`))
	ack := bob.Expect("ACK ")
	same(t, "Proxy-Authorization", len(ack.Headers("Proxy-Authorization")), 0)
	same(t, "Proxy-Authorization-Info", len(ack.Headers("Proxy-Authorization-Info")), 1)
}
