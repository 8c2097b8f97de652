package snomlrc

import (
	"crypto/md5"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/caddysip/caddysip/handler/handlertest"
	_ "github.com/caddysip/caddysip/handler/register"
)

func md5Hex(text string) string {
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

// TestChallenge has callers want a password for the MESSAGE. It is signed for a phone of the user
// that the call says it is from, at the place where it registered, and for nobody else.
func TestChallenge(t *testing.T) {
	addr := handlertest.FreeAddr(t)
	s := handlertest.StartCaddyfile(t, addr, "{\n\tadmin off\n\tsip {\n\t\tdomain example.com\n"+
		"keys {\ncredentials {\nrealm phone\nusername server\npassword {user}-secret\n}\n}\n"+
		addr.String()+" {\nsnom_lrc\nregister\n}\n}\n}\n")
	phone, connected, stranger := s.UDP(), s.TCP(), s.UDP()
	for _, p := range []*handlertest.Peer{phone, connected} {
		p.Send("REGISTER sip:example.com SIP/2.0\nVia: SIP/2.0/{transport} {me};branch={branch};rport\n" +
			"Max-Forwards: 70\nFrom: <sip:alice@example.com>;tag=1\nTo: <sip:alice@example.com>\n" +
			"Call-ID: " + p.Transport() + "\nCSeq: 1 REGISTER\nContact: <sip:alice@{me}>\n\n")
		p.Expect("SIP/2.0 200")
	}
	const here = "{me};line=ab12"
	for _, tc := range []struct {
		name    string
		p       *handlertest.Peer
		from    string
		contact string
		realm   string
		signed  bool
	}{
		{"the phone", phone, "alice", here, "phone", true},
		{"the phone on a connection", connected, "alice", here, "phone", true},
		{"another realm", phone, "alice", here, "victim", false},
		{"another place", phone, "alice", "192.0.2.77:5071;line=ab12", "phone", false},
		{"another user", phone, "bob", here, "phone", false},
		{"a stranger", stranger, "alice", here, "phone", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			counted := pushes(s)
			id := strings.ReplaceAll(tc.name, " ", "-")
			tc.p.Send(invite("431", id, "<sip:alice@example.com>", "<sip:"+tc.from+"@example.com>",
				"192.0.2.77:5071;line=ab12;transport=udp", tc.contact))
			tc.p.Expect("SIP/2.0 404")
			first := message(tc.p, "")
			tc.p.Answer(first, "401 Who?", "p", `WWW-Authenticate: Digest realm="`+tc.realm+`", nonce="n"`)
			if !tc.signed {
				tc.p.Nothing()
				if got := counted(); got != "1 refused" {
					t.Errorf("counted %q", got)
				}
				return
			}
			second := message(tc.p, "")
			a1, a2 := md5Hex("server:phone:alice-secret"), md5Hex("MESSAGE:"+first.URI())
			if !strings.Contains(second.Header("Authorization"), md5Hex(a1+":n:"+a2)) ||
				second.Header("CSeq") != "2 MESSAGE" || second.Body() != first.Body() {
				t.Errorf("got\n%s", second.Text)
			}
			tc.p.Answer(second, "200 OK", "p")
			tc.p.Nothing()
			if got := counted(); got != "1 acknowledged" {
				t.Errorf("counted %q", got)
			}
		})
	}
}
