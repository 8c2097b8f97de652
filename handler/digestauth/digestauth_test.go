package digestauth

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/sip/digest"
	"github.com/caddysip/caddysip/internal/sip/transport"
)

// TestRegister registers with each algorithm and transport.
func TestRegister(t *testing.T) {
	s := start(t, "algorithm SHA-256 SHA-512-256 MD5")
	for _, transport := range []string{"udp", "tcp"} {
		for i, a := range []string{"SHA-256", "SHA-512-256", "MD5"} {
			p := newPhone(t, s, transport, "alice")
			c := challenges(t, p.ask(p.register(), "401"))[i]
			same(t, "algorithm", c.Algorithm, a)
			counts(t, s, func() {
				p.ask(p.register(p.answers(c, "REGISTER", "sip:127.0.0.1", 1)), "200")
				p.ask(p.register(p.answers(c, "REGISTER", "sip:127.0.0.1", 2)), "200")
			}, "accepted", "accepted")
			// As before RFC 2617, without qop: the nonce is good for one request.
			c = challenges(t, p.ask(p.register(), "401"))[i]
			c.QOP = nil
			request := p.register(p.answers(c, "REGISTER", "sip:127.0.0.1", 1))
			same(t, "qop is there", strings.Contains(request, "qop"), false)
			counts(t, s, func() {
				p.ask(request, "200")
				p.ask(p.register(p.answers(c, "REGISTER", "sip:127.0.0.1", 1)), "401")
			}, "accepted", "replayed")
			p.ask(p.register(p.answers(p.challenged("REGISTER", "sip:127.0.0.1"), "REGISTER", "sip:127.0.0.1", 1), "Contact: *", "Expires: 0"), "200")
		}
	}
	same(t, "bindings", bindings(s, "alice@localhost"), 0)
}

// TestWrong has credentials that are not right. Whether the user is known makes no difference.
func TestWrong(t *testing.T) {
	s := start(t, "")
	bob := registered(t, s, "udp", "bob")
	alice, nobody := newPhone(t, s, "udp", "alice"), newPhone(t, s, "udp", "nobody")
	alice.password = "secret-bob"
	for _, method := range []string{"REGISTER", "MESSAGE"} {
		to := map[string]string{"REGISTER": "sip:127.0.0.1", "MESSAGE": uri("bob")}[method]
		var texts []string
		for _, p := range []*phone{alice, nobody} {
			for i := range 2 {
				request := p.request(method, to)
				if method == "REGISTER" {
					request = p.register()
				}
				p.Send(request)
				c := challenges(t, p.Receive())[i]
				line := p.answers(c, method, to, 1)
				request = p.request(method, to, line)
				if method == "REGISTER" {
					request = p.register(line)
				}
				counts(t, s, func() {
					p.Send(request)
					res := p.Receive()
					same(t, "stale", challenges(t, res)[0].Stale, false)
					texts = append(texts, without(res))
				}, "wrong")
			}
		}
		for _, text := range texts {
			same(t, "the answer", text, texts[0])
		}
	}
	bob.Send(bob.request("OPTIONS", "sip:127.0.0.1"))
	bob.Expect("SIP/2.0 401") // and nothing before
	same(t, "bindings", bindings(s, "alice@localhost"), 0)
}

// TestDecoy has somebody who knows what is checked in place of an unknown user's password.
func TestDecoy(t *testing.T) {
	s := start(t, "")
	for _, a := range []digest.Algorithm{digest.MD5, digest.SHA256} {
		p := newPhone(t, s, "udp", "nobody")
		p.ha1 = digest.HA1(a, "nobody", "nowhere", "nothing")
		for _, c := range challenges(t, p.ask(p.register(), "401")) {
			if c.Algorithm == a.String() {
				counts(t, s, func() { p.ask(p.register(p.answers(c, "REGISTER", "sip:127.0.0.1", 1)), "401") }, "wrong")
			}
		}
	}
}

// TestChanged has right credentials with another request.
func TestChanged(t *testing.T) {
	s := start(t, "")
	p := newPhone(t, s, "udp", "alice")
	register := func() string {
		return p.answers(p.challenged("REGISTER", "sip:127.0.0.1"), "REGISTER", "sip:127.0.0.1", 1)
	}
	for _, change := range [][2]string{
		{`username="alice"`, `username="bob"`}, {"nc=00000001", "nc=00000002"}, {`cnonce="`, `cnonce="x`}, {`uri="sip:`, `uri="sips:`},
		{"algorithm=SHA-256", "algorithm=SHA-512-256"},
	} {
		line := register()
		same(t, change[0], strings.Contains(line, change[0]), true)
		p.ask(p.register(strings.Replace(line, change[0], change[1], 1)), "401")
	}
	same(t, "bindings", bindings(s, "alice@localhost"), 0)
	p.ask(p.request("OPTIONS", "sip:127.0.0.1", register()), "401") // another method
}

// TestAnyURI has credentials for another URI where that is allowed.
func TestAnyURI(t *testing.T) {
	s := start(t, "uri any")
	bob := registered(t, s, "udp", "bob")
	alice := newPhone(t, s, "udp", "alice")
	c := alice.challenged("MESSAGE", uri("bob"))
	counts(t, s, func() {
		alice.Send(alice.request("MESSAGE", uri("bob"), "Proxy-"+alice.answers(c, "MESSAGE", "sip:127.0.0.1", 1)))
		bob.Answer(bob.Expect("MESSAGE "), "200 OK", "x")
		alice.Expect("SIP/2.0 200")
	}, "accepted")
	c = alice.challenged("MESSAGE", uri("bob"))
	counts(t, s, func() {
		alice.ask(alice.request("MESSAGE", uri("bob"), "Proxy-"+alice.answers(c, "INFO", "sip:127.0.0.1", 1)), "407")
	}, "wrong")
}

// TestRequestURI has credentials for the same URI, written otherwise, and for others.
func TestRequestURI(t *testing.T) {
	const other = "400 Credentials for Another Request-URI"
	s := start(t, "")
	bob := registered(t, s, "udp", "bob")
	alice := newPhone(t, s, "udp", "alice")
	for written, want := range map[string]string{
		uri("bob"): "", uri("bob") + ";transport=udp": "", "sip:b%6fb@127.0.0.1:5060": "", "sip:bob@LOCALHOST": "", "sips:bob@127.0.0.1": "",
		uri("alice"): other, "sip:bob@example.org": other, "sip:127.0.0.1": other, "tel:bob": other, "http://127.0.0.1": other, "bob": other,
	} {
		c := alice.challenged("MESSAGE", uri("bob"))
		request := alice.request("MESSAGE", uri("bob"), "Proxy-"+strings.TrimPrefix(alice.answers(c, "MESSAGE", written, 1), "Proxy-"))
		outcome := "accepted"
		if want != "" {
			outcome = "malformed"
		}
		counts(t, s, func() {
			alice.Send(request)
			if want == "" {
				bob.Answer(bob.Expect("MESSAGE "), "200 OK", "x")
				want = "200"
			}
			alice.Expect("SIP/2.0 " + want)
		}, outcome)
	}
	// What was meant for a user of ours is for nobody of that name elsewhere.
	line := alice.answers(alice.challenged("MESSAGE", "sip:bob@example.org"), "MESSAGE", uri("bob"), 1)
	counts(t, s, func() { alice.ask(alice.request("MESSAGE", "sip:bob@example.org", line), "400") }, "malformed")
}

// TestReplay has a nonce's count used twice.
func TestReplay(t *testing.T) {
	s := start(t, "")
	p := newPhone(t, s, "udp", "alice")
	c := p.challenged("REGISTER", "sip:127.0.0.1")
	line := p.answers(c, "REGISTER", "sip:127.0.0.1", 1)
	request := strings.Replace(p.register(line), "{branch}", "z9hG4bKsame", 1)
	counts(t, s, func() {
		p.ask(request, "200")
		p.ask(request, "200") // it came again: the answer may be lost
	}, "accepted", "accepted")
	replayed := func(p *phone, request string) {
		t.Helper()
		counts(t, s, func() {
			res := p.ask(request, "401")
			next := challenges(t, res)[0]
			same(t, "stale", next.Stale, true)
			same(t, "the nonce is the old one", next.Nonce == c.Nonce, false)
		}, "replayed")
	}
	elsewhere := newPhone(t, s, "udp", "alice")
	replayed(p, p.register(line))
	replayed(p, strings.Replace(request, "Contact: <sip:alice@", "Contact: <sip:mallory@", 1))
	replayed(elsewhere, strings.Replace(request, "{me}", p.Addr.String(), -1))
	same(t, "bindings", bindings(s, "alice@localhost"), 1)

	// A reload forgets nothing.
	s.Load(handlertest.Caddyfile(s.Addr, "digest_auth {\n"+users+"nonce_lifetime 1h\n}\nregister\nproxy"))
	replayed(p, p.register(line))
	counts(t, s, func() { p.ask(p.register(p.answers(c, "REGISTER", "sip:127.0.0.1", 2)), "200") }, "accepted")
}

// TestStale has nonces that are too old or not ours.
func TestStale(t *testing.T) {
	s := start(t, "nonce_lifetime 1s")
	p := newPhone(t, s, "udp", "alice")
	c := p.challenged("REGISTER", "sip:127.0.0.1")
	count := 0
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		count++
		p.Send(p.register(p.answers(c, "REGISTER", "sip:127.0.0.1", count)))
		if res := p.Receive(); !strings.HasPrefix(res.Text, "SIP/2.0 200") {
			same(t, "stale", challenges(t, res)[0].Stale, true)
			break
		}
	}
	counts(t, s, func() { p.ask(p.register(p.answers(c, "REGISTER", "sip:127.0.0.1", count+1)), "401") }, "stale")
	// A wrong password is one, however old the nonce is.
	p.password = "x"
	counts(t, s, func() {
		res := p.ask(p.register(p.answers(c, "REGISTER", "sip:127.0.0.1", count+2)), "401")
		same(t, "stale", challenges(t, res)[0].Stale, false)
	}, "wrong")
	// Where the nonce is not ours, nobody learns whether the password is right.
	for _, nonce := range []string{"x", strings.Repeat("A", len(c.Nonce)), c.Nonce[1:] + "A"} {
		var texts []string
		for _, password := range []string{"secret-alice", "wrong"} {
			p.password, c.Nonce = password, nonce
			counts(t, s, func() {
				res := p.ask(p.register(p.answers(c, "REGISTER", "sip:127.0.0.1", 1)), "401")
				same(t, "stale", challenges(t, res)[0].Stale, true)
				texts = append(texts, without(res))
			}, "stale")
		}
		same(t, "the answer", texts[1], texts[0])
	}
}

// TestMalformed has credentials for our realm that cannot be read.
func TestMalformed(t *testing.T) {
	s := start(t, "")
	p := newPhone(t, s, "udp", "alice")
	good := p.answers(p.challenged("REGISTER", "sip:127.0.0.1"), "REGISTER", "sip:127.0.0.1", 1)
	for _, line := range []string{
		`Authorization: Digest realm="caddysip"`, good + `, username="bob"`, good + `, x="`, good + ", " + strings.Repeat("x=y, ", 40),
		strings.Replace(good, "nc=00000001", "nc=1", 1), strings.Replace(good, "qop=auth", "qop=auth-int", 1), good + `, x="` + strings.Repeat("x", 5000) + `"`,
	} {
		counts(t, s, func() {
			res := p.ask(p.register(line), "400 Malformed Credentials")
			same(t, "challenges", strings.Count(res.Text, "Authenticate"), 0)
		}, "malformed")
	}
	// Those of other schemes and realms, and those that are not for this role, are none for us.
	for _, line := range []string{
		"Authorization: Basic YWxpY2U6c2VjcmV0", strings.Replace(good, `"caddysip"`, `"Caddysip"`, 1), "Proxy-" + good, "Authorization: Digest",
		`Authorization: Digest username="alice", realm`,
	} {
		counts(t, s, func() { p.ask(p.register(line), "401") }, "challenged")
	}
	// Ours is found behind others.
	counts(t, s, func() {
		p.ask(p.register("Authorization: Basic YWxpY2U6c2VjcmV0", "Authorization : Digest realm=\"other\"", "authorization:"+strings.TrimPrefix(good, "Authorization:")), "200")
	}, "accepted")
}

// TestOwnLine has several lines with credentials for our realm: that with a nonce of ours counts.
func TestOwnLine(t *testing.T) {
	s := start(t, "")
	p := newPhone(t, s, "udp", "alice")
	lines := func() (good, old string) {
		good = p.answers(p.challenged("REGISTER", "sip:127.0.0.1"), "REGISTER", "sip:127.0.0.1", 1)
		return good, regexp.MustCompile(`nonce="..`).ReplaceAllString(good, `nonce="xx`)
	}
	for _, order := range [][]int{{0, 1, 2}, {1, 0, 2}, {2, 1, 0}} {
		good, old := lines()
		ims := `Authorization: Digest username="alice", realm="caddysip", nonce="", uri="sip:127.0.0.1", response=""`
		list := []string{good, old, ims}
		counts(t, s, func() { p.ask(p.register(list[order[0]], list[order[1]], list[order[2]]), "200") }, "accepted")
		counts(t, s, func() { p.ask(p.register(ims), "401") }, "challenged")
		counts(t, s, func() {
			same(t, "stale", strings.Contains(p.ask(p.register(ims, old), "401").Text, "stale=true"), true)
		}, "stale")
	}
	// There is an end to it.
	good, old := lines()
	counts(t, s, func() { p.ask(p.register(append(slices.Repeat([]string{old}, maxLines), good)...), "401") }, "stale")
	counts(t, s, func() { p.ask(p.register(append(slices.Repeat([]string{old}, maxLines-1), good)...), "200") }, "accepted")
}

// TestIdentity has users who pretend to be others.
func TestIdentity(t *testing.T) {
	s := start(t, "")
	bob := registered(t, s, "udp", "bob")
	alice := newPhone(t, s, "udp", "alice")
	for _, test := range []struct {
		method, uri, from, to string
		forbidden             bool
	}{
		{"REGISTER", "sip:127.0.0.1", uri("alice"), uri("alice"), false},
		{"REGISTER", "sip:127.0.0.1", "sip:%61lice@localhost:5070;x", "sip:alice:x@LOCALHOST", false},
		{"REGISTER", "sip:127.0.0.1", uri("alice"), uri("bob"), true},
		{"REGISTER", "sip:127.0.0.1", uri("bob"), uri("alice"), true},
		{"REGISTER", "sip:127.0.0.1", uri("Alice"), uri("Alice"), true},
		{"REGISTER", "sip:127.0.0.1", "sip:alice@example.org", uri("alice"), true},
		{"REGISTER", "sip:127.0.0.1", uri("alice"), "sip:alice@example.org", true},
		{"REGISTER", "sip:127.0.0.1", "sip:127.0.0.1", uri("alice"), true},
		{"MESSAGE", uri("bob"), uri("alice"), uri("bob"), false},
		{"MESSAGE", uri("bob"), "tel:alice", uri("carol"), false}, // nobody is called by To
		{"MESSAGE", uri("bob"), uri("bob"), uri("bob"), true},
		{"MESSAGE", uri("bob"), "sip:anonymous@anonymous.invalid", uri("bob"), true},
		{"MESSAGE", uri("bob"), "sip:alice@example.org", uri("bob"), true},
		{"MESSAGE", uri("bob"), "sip:alice;x=y@127.0.0.1", uri("bob"), true},
		{"MESSAGE", uri("bob"), "mailto:alice@127.0.0.1", uri("bob"), true},
		{"OPTIONS", "sip:127.0.0.1", uri("bob"), "sip:127.0.0.1", true},
	} {
		line := alice.answers(alice.challenged(test.method, test.uri), test.method, test.uri, 1)
		want := "accepted"
		if test.forbidden {
			want = "forbidden"
		}
		counts(t, s, func() {
			alice.Send(alice.request(test.method, test.uri, "From: <"+test.from+">;tag=x", "To: <"+test.to+">", line))
			switch {
			case test.forbidden:
				alice.Expect("SIP/2.0 403 Forbidden")
			case test.method == "MESSAGE":
				bob.Answer(bob.Expect("MESSAGE "), "200 OK", "x")
				fallthrough
			default:
				alice.Expect("SIP/2.0 200")
			}
		}, want)
	}
	bob.ask(bob.request("OPTIONS", "sip:127.0.0.1"), "401")

	s.Load(handlertest.Caddyfile(s.Addr, "digest_auth {\n"+users+"identity any\n}\nregister\nproxy"))
	line := alice.answers(alice.challenged("MESSAGE", uri("bob")), "MESSAGE", uri("bob"), 1)
	alice.Send(alice.request("MESSAGE", uri("bob"), "From: <sip:anonymous@anonymous.invalid>;tag=x", line))
	bob.Answer(bob.Expect("MESSAGE "), "200 OK", "x")
	alice.Expect("SIP/2.0 200")
}

// TestDomains has users of several domains.
func TestDomains(t *testing.T) {
	addr := handlertest.FreeAddr(t)
	load := func(options string) string {
		return "{\nadmin off\nsip {\ndomain example.com example.org\n" + addr.String() + " {\ndigest_auth {\n" + options + "\n}\nregister\n}\n}\n}\n"
	}
	s := handlertest.StartCaddyfile(t, addr, load(users))
	for _, test := range []struct{ options, user, realm, com, org string }{
		{users, "alice", "example.com", "200", "200"}, // one realm for all
		{users + "realm example.com", "alice", "example.com", "200", "403"},
		{users + "realm Example.ORG", "alice", "Example.ORG", "403", "200"},
		{users + "realm PBX", "alice", "PBX", "200", "200"},
		{"user alice@example.org secret-alice@example.org", "alice@example.org", "example.com", "403", "200"},
		{"user alice@Example.com secret-alice@Example.com", "alice@Example.com", "example.com", "200", "403"},
		{"user alice@elsewhere secret-alice@elsewhere", "alice@elsewhere", "example.com", "403", "403"},
	} {
		s.Load(load(test.options))
		for domain, want := range map[string]string{"example.com": test.com, "example.org": test.org} {
			p := newPhone(t, s, "udp", "alice")
			p.login, p.password = test.user, "secret-"+test.user
			headers := []string{"From: <sip:alice@" + domain + ">;tag=x", "To: <sip:alice@" + domain + ">"}
			c := challenges(t, p.ask(p.request("REGISTER", "sip:"+domain, headers...), "401"))[0]
			same(t, "realm", c.Realm, test.realm)
			res := p.ask(p.request("REGISTER", "sip:"+domain, append(headers, p.answers(c, "REGISTER", "sip:"+domain, 1))...), want)
			same(t, test.options+" at "+domain, strings.Fields(res.Text)[1], want)
			// Nobody else of the domain.
			for i, h := range headers {
				headers[i] = strings.Replace(h, "alice", "bob", 1)
			}
			p.ask(p.request("REGISTER", "sip:"+domain, append(headers, p.answers(c, "REGISTER", "sip:"+domain, 2))...), "403")
		}
	}
}

// TestLeak has whose credentials go on to whom.
func TestLeak(t *testing.T) {
	s := start(t, "")
	bob := registered(t, s, "udp", "bob")
	alice := newPhone(t, s, "udp", "alice")
	line := alice.answers(alice.challenged("MESSAGE", uri("bob")), "MESSAGE", uri("bob"), 1)
	cached := alice.answers(alice.challenged("REGISTER", "sip:127.0.0.1"), "REGISTER", "sip:127.0.0.1", 1)
	alice.Send(alice.request("MESSAGE", uri("bob"),
		`Proxy-Authorization: Digest realm="far.example", username="alice", nonce="1", uri="x", response="2"`, strings.Replace(line, "Proxy-", "proxy-", 1),
		strings.Replace(line, "Proxy-Authorization: Digest ", "PROXY-AUTHORIZATION\t:\n  digest\n ", 1), cached,
		`Authorization: Digest username="caddysip", realm="other"`, "Authorization: Basic caddysip"))
	got := bob.Expect("MESSAGE ")
	same(t, "Proxy-Authorization", strings.Join(got.Headers("Proxy-Authorization"), "|"),
		`Digest realm="far.example", username="alice", nonce="1", uri="x", response="2"`)
	same(t, "Authorization", strings.Join(got.Headers("Authorization"), "|"), `Digest username="caddysip", realm="other"|Basic caddysip`)
	same(t, "our realm", strings.Contains(strings.ToLower(got.Text), `realm="caddysip"`), false)
	bob.Answer(got, "200 OK", "x")
	alice.Expect("SIP/2.0 200")
}

// TestAuthenticated tells the handlers that follow who it was, and asks once.
func TestAuthenticated(t *testing.T) {
	s := handlertest.Start(t, "digest_auth {\n"+users+"}\ndigest_auth {\n"+users+"}\n"+
		"@alice authenticated alice carol\nrespond @alice 480 \"Hello {sip.auth.user}\"\n@any authenticated\nrespond @any 486\nrespond 500")
	for user, want := range map[string]string{"alice": "480 Hello alice", "bob": "486 "} {
		p := newPhone(t, s, "tcp", user)
		c := p.challenged("MESSAGE", uri("x"))
		p.ask(p.request("MESSAGE", uri("x"), p.answers(c, "MESSAGE", uri("x"), 1)), want)
	}
	// What was answered before is left alone.
	s.Load(handlertest.Caddyfile(s.Addr, "respond 480\ndigest_auth {\n"+users+"}"))
	p := newPhone(t, s, "udp", "alice")
	counts(t, s, func() { p.ask(p.request("MESSAGE", uri("x")), "480") })
	s.Load(handlertest.Caddyfile(s.Addr, "register\ndigest_auth {\n"+users+"}"))
	counts(t, s, func() { p.ask(p.register(), "200") })
}

// TestValidated checks when the address of a client counts as validated: it has answered from there
// with a nonce that was sent there.
func TestValidated(t *testing.T) {
	s := start(t, "")
	validated := func(p *phone) bool {
		return inside.AppOf(s.App()).Engine.Validated(transport.Flow{Remote: p.Addr, Local: s.Addr})
	}
	p, other := newPhone(t, s, "udp", "alice"), newPhone(t, s, "udp", "alice")
	c := p.challenged("REGISTER", "sip:127.0.0.1")
	// The nonce was not sent to that port.
	counts(t, s, func() {
		other.ask(other.register(other.answers(c, "REGISTER", "sip:127.0.0.1", 2)), "200")
	}, "accepted")
	same(t, "an address that has not received the nonce is validated", validated(other), false)
	p.password = "wrong"
	p.ask(p.register(p.answers(c, "REGISTER", "sip:127.0.0.1", 3)), "401")
	same(t, "an address with a wrong user is validated", validated(p), false)
	p.password = "secret-alice"
	p.ask(p.register(p.answers(c, "REGISTER", "sip:127.0.0.1", 4)), "200")
	same(t, "an address that has authenticated is validated", validated(p), true)
}
