package noprefix

import (
	"os"
	"strings"
	"testing"

	_ "github.com/caddysip/caddysip"
	"github.com/caddysip/caddysip/handler/handlertest"
)

// TestNoPrefix is run by TestHandlerDocumentation, in a package with the handler of docs/handler.md.
func TestNoPrefix(t *testing.T) {
	text, err := os.ReadFile(os.Getenv("CADDYFILE"))
	if err != nil {
		t.Fatal(err)
	}
	addr := handlertest.FreeAddr(t)
	s := handlertest.StartCaddyfile(t, addr, strings.NewReplacer("\tsip {", "\tadmin off\n\tsip {", ":5060", addr.String()).Replace(string(text)))
	for _, p := range []*handlertest.Peer{s.UDP(), s.TCP()} {
		for _, test := range []struct{ method, user, want string }{
			{"INVITE", "01901", "SIP/2.0 403 Not From Here\r\n"},
			{"INVITE", "0180", "SIP/2.0 404 "},
			{"MESSAGE", "01901", "SIP/2.0 404 "},
		} {
			p.Send(test.method + " " + s.URI(test.user) + " SIP/2.0\nVia: SIP/2.0/{transport} {me};branch={branch};rport\nMax-Forwards: 70\n" +
				"From: <" + s.URI("101") + ">;tag=f\nTo: <" + s.URI(test.user) + ">\nCall-ID: " + test.method + test.user + p.Transport() +
				"\nCSeq: 1 " + test.method + "\nContact: <sip:101@{me}>\n\n")
			m := p.Receive()
			for strings.HasPrefix(m.Text, "SIP/2.0 100 ") {
				m = p.Receive()
			}
			if !strings.HasPrefix(m.Text, test.want) {
				t.Errorf("%s of %s is answered\n%s", test.method, test.user, m.Text)
			}
		}
	}
}
