package family

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	_ "github.com/caddysip/caddysip"
	"github.com/caddysip/caddysip/handler/handlertest"
)

const config = `
	digest_auth {
		realm home
		algorithm MD5
		provider family {
			miller secret anna bert
		}
	}
	register
`

func hash(text string) string {
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

// register registers a user of the server, and returns the final answer.
func register(t *testing.T, s *handlertest.Server, user, password string) handlertest.Message {
	t.Helper()
	p := s.UDP()
	uri := "sip:" + s.Addr.Addr().String()
	send := func(n int, more string) {
		p.Send(fmt.Sprintf("REGISTER %s SIP/2.0\nVia: SIP/2.0/UDP {me};branch={branch};rport\nMax-Forwards: 70\nFrom: <%s>;tag=f\nTo: <%s>\n"+
			"Call-ID: %s\nCSeq: %d REGISTER\nContact: <sip:%s@{me}>\n%s\n", uri, s.URI(user), s.URI(user), user, n, user, more))
	}
	send(1, "")
	challenge := p.Expect("SIP/2.0 401").Header("WWW-Authenticate")
	_, rest, _ := strings.Cut(challenge, `nonce="`)
	nonce, _, _ := strings.Cut(rest, `"`)
	response := hash(strings.Join([]string{hash(user + ":home:" + password), nonce, "00000001", "c", "auth", hash("REGISTER:" + uri)}, ":"))
	send(2, fmt.Sprintf("Authorization: Digest username=%q, realm=\"home\", nonce=%q, uri=%q, algorithm=MD5, qop=auth, nc=00000001, cnonce=\"c\", response=%q\n",
		user, nonce, uri, response))
	return p.Receive()
}

func TestFamily(t *testing.T) {
	s := handlertest.Start(t, config)
	for _, test := range []struct{ user, password, want string }{
		{"anna", "secret", "SIP/2.0 200 "},
		{"bert", "secret", "SIP/2.0 200 "},
		{"anna", "wrong", "SIP/2.0 401 "},
		{"carl", "secret", "SIP/2.0 401 "},
	} {
		if m := register(t, s, test.user, test.password); !strings.HasPrefix(m.Text, test.want) {
			t.Errorf("%s with %s gets %s, want %s", test.user, test.password, m.Line(), test.want)
		}
	}
}

func TestAlgorithms(t *testing.T) {
	f := &Family{Passwords: map[string]string{"miller": "secret"}, Members: map[string]string{"anna": "miller"}}
	for algorithm, size := range map[string]int{"MD5": 32, "SHA-256": 64, "SHA-512-256": 64, "ROT13": 0} {
		if h, err := f.HA1(t.Context(), "anna", "home", algorithm); err != nil || len(h) != size {
			t.Errorf("%s: %q, %v", algorithm, h, err)
		}
	}
}
