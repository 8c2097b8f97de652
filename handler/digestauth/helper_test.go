package digestauth

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	client "github.com/icholy/digest"

	"github.com/caddysip/caddysip/handler/handlertest"
	_ "github.com/caddysip/caddysip/handler/proxy"
	_ "github.com/caddysip/caddysip/handler/register"
	_ "github.com/caddysip/caddysip/handler/respond"
	"github.com/caddysip/caddysip/internal/inside"
)

// phone is a peer with a user's name and password.
type phone struct {
	*handlertest.Peer
	t        *testing.T
	s        *handlertest.Server
	user     string
	login    string // for credentials; empty: user
	password string
	ha1      string // in place of the password
	cseq     int
}

// newPhone makes a phone. Its password is "secret-" and its name.
func newPhone(t *testing.T, s *handlertest.Server, transport, user string) *phone {
	t.Helper()
	p := &phone{t: t, s: s, user: user, password: "secret-" + user}
	if transport == "tcp" {
		p.Peer = s.TCP()
	} else {
		p.Peer = s.UDP()
	}
	return p
}

// uri is a URI of a user at the server's address, or of the server itself.
func uri(user string) string {
	return strings.TrimPrefix("sip:"+user+"@127.0.0.1", "sip:@")
}

// request returns a request for a URI with what every request has, and these header fields, those given in place of those that it would have.
func (p *phone) request(method, uri string, headers ...string) string {
	p.cseq++
	lines := []string{
		"Via: SIP/2.0/{transport} {me};branch={branch};rport",
		"Max-Forwards: 70",
		fmt.Sprintf("From: <sip:%s@127.0.0.1>;tag=tag-%s", p.user, p.user),
		fmt.Sprintf("To: <%s>", uri),
		"Call-ID: call-" + p.user,
		fmt.Sprintf("CSeq: %d %s", p.cseq, method),
		fmt.Sprintf("Contact: <sip:%s@%s;transport=%s>", p.user, p.Addr, strings.ToLower(p.Transport())),
	}
	own := len(lines)
	for _, h := range headers {
		name, _, _ := strings.Cut(h, ":")
		if i := slices.IndexFunc(lines[:own], func(line string) bool { return strings.HasPrefix(line, name+":") }); i >= 0 {
			lines[i] = h
		} else {
			lines = append(lines, h)
		}
	}
	return method + " " + uri + " SIP/2.0\n" + strings.Join(lines, "\n") + "\n\n"
}

// register returns a REGISTER of the phone's user.
func (p *phone) register(headers ...string) string {
	return p.request("REGISTER", "sip:127.0.0.1", append([]string{"To: <" + uri(p.user) + ">"}, headers...)...)
}

// ask sends a request and returns its answer, which must have that status.
func (p *phone) ask(request, status string) handlertest.Message {
	p.t.Helper()
	p.Send(request)
	return p.Expect("SIP/2.0 " + status)
}

// challenges returns what a response asks for, the topmost first.
func challenges(t *testing.T, res handlertest.Message) (list []*client.Challenge) {
	t.Helper()
	for _, v := range append(res.Headers("WWW-Authenticate"), res.Headers("Proxy-Authenticate")...) {
		c, err := client.ParseChallenge(v)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		t.Fatalf("there is no challenge:\n%s", res.Text)
	}
	return list
}

// answers returns the header line that answers a challenge, with that count.
func (p *phone) answers(c *client.Challenge, method, uri string, count int) string {
	p.t.Helper()
	credentials, err := client.Digest(c, client.Options{Method: method, URI: uri, Username: cmp.Or(p.login, p.user), Password: p.password,
		A1: p.ha1, Count: count})
	if err != nil {
		p.t.Fatal(err)
	}
	name := "Proxy-Authorization: "
	if method == "REGISTER" || !strings.Contains(uri, "@") {
		name = "Authorization: "
	}
	return name + credentials.String()
}

// challenged sends a request without credentials, and returns the topmost challenge.
func (p *phone) challenged(method, uri string) *client.Challenge {
	p.t.Helper()
	request := p.request(method, uri)
	if method == "REGISTER" {
		request = p.register()
	}
	p.Send(request)
	res := p.Receive()
	if !strings.HasPrefix(res.Text, "SIP/2.0 40") {
		p.t.Fatalf("%s is not challenged:\n%s", method, res.Text)
	}
	return challenges(p.t, res)[0]
}

// registered registers a phone with its password.
func registered(t *testing.T, s *handlertest.Server, transport, user string) *phone {
	t.Helper()
	p := newPhone(t, s, transport, user)
	c := p.challenged("REGISTER", "sip:127.0.0.1")
	p.ask(p.register(p.answers(c, "REGISTER", "sip:127.0.0.1", 1)), "200")
	return p
}

// bindings tells how many contacts a user has.
func bindings(s *handlertest.Server, aor string) int {
	return len(inside.AppOf(s.App()).Location().Lookup([]byte(aor), nil))
}

// outcome returns how often something was decided.
func outcome(s *handlertest.Server, name string) float64 {
	return s.Metric("caddy_sip_authentication_total", "outcome="+name)
}

// counts makes sure that each of these outcomes, and no other, comes once during f.
func counts(t *testing.T, s *handlertest.Server, f func(), want ...string) {
	t.Helper()
	before := make(map[string]float64)
	all := []string{"accepted", "challenged", "stale", "wrong", "refused", "replayed", "forbidden", "malformed"}
	for _, name := range all {
		before[name] = outcome(s, name)
	}
	f()
	for _, name := range all {
		n := 0.0
		for _, w := range want {
			if w == name {
				n++
			}
		}
		if got := outcome(s, name) - before[name]; got != n {
			t.Errorf("%v times %s, want %v", got, name, n)
		}
	}
}

var nonces = regexp.MustCompile(`nonce="[^"]*"`)

// without returns a message without what differs from one to the next.
func without(res handlertest.Message) string {
	text := nonces.ReplaceAllString(res.Text, "nonce")
	for _, name := range []string{"Via", "CSeq", "To", "Call-ID", "From"} {
		text = regexp.MustCompile(`(?m)^`+name+`: .*\r\n`).ReplaceAllString(text, "")
	}
	return text
}

func same[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

const users = "user alice secret-alice\nuser bob secret-bob\n"

// start runs a server with these users and a registrar and proxy behind digest_auth.
func start(t *testing.T, options string) *handlertest.Server {
	t.Helper()
	return handlertest.Start(t, "digest_auth {\n"+users+options+"\n}\nregister\nproxy")
}
