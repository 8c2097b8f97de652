package uac

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"regexp"
	"strings"
	"testing"
)

var phoneCredentials = []Credentials{
	{Realm: "door", Username: "door", Password: "{user}"},
	{Realm: "phone", Username: "server", Password: "secret-{user}"},
	{Realm: `a "phone"`, Username: "{user}", Password: "secret-{user}"},
}

func md5Hex(text string) string {
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

func sha256Hex(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// param returns a parameter of credentials, with or without quotes.
func param(credentials, name string) string {
	pattern := regexp.MustCompile(`[ ,]` + name + `=(?:"((?:[^"\\]|\\.)*)"|([^",]+))`)
	m := pattern.FindStringSubmatch(credentials)
	if m == nil {
		return ""
	}
	return strings.ReplaceAll(m[1], `\`, "") + m[2]
}

// changes are what is not the same in the answer to a challenge.
var changes = regexp.MustCompile(`;branch=z9hG4bK[0-9a-f]{32};` +
	`|\r\nCSeq: [0-9]+ MESSAGE|\r\n(Proxy-)?Authorization: [^\r]*`)

// TestChallenge has a phone, or a proxy on the way to it, challenge a request once, and computes
// what is right (RFC 7616 §3.4.1).
func TestChallenge(t *testing.T) {
	for _, status := range []string{"401 Unauthorized", "407 Proxy Authentication Required"} {
		for _, tc := range []struct {
			challenge, realm, username string
			hash                       func(string) string
		}{
			{`Digest realm="phone", nonce="n1"`, "phone", "server", md5Hex},
			{`digest realm="phone",nonce="n1",algorithm=MD5,qop="auth",opaque="o"`,
				"phone", "server", md5Hex},
			{`Digest realm="a \"phone\"", nonce="n1", algorithm=SHA-256, qop="auth,auth-int"`,
				`a "phone"`, "101", sha256Hex},
			{`Digest realm="phone", nonce="n1", algorithm=SHA-256, qop="auth-int"`,
				"phone", "server", sha256Hex},
		} {
			inWorld(t, func(w *world) {
				r := w.request()
				r.Credentials = phoneCredentials
				w.send(r)
				challenge, name := "WWW-Authenticate: ", "Authorization"
				if status[:3] == "407" {
					challenge, name = "Proxy-Authenticate: ", "Proxy-Authorization"
				}
				first := w.receive()
				w.answer(first, status, challenge+tc.challenge)
				second := w.receive()
				got := header(second, name)

				// RFC 3261 §22.2: the same request, with another branch and the next CSeq.
				same := func(request string) string { return changes.ReplaceAllString(request, "") }
				if same(first) != same(second) || header(first, "Via") == header(second, "Via") ||
					header(first, "CSeq") != "1 MESSAGE" || header(second, "CSeq") != "2 MESSAGE" ||
					strings.Contains(first, "uthorization: ") {
					t.Errorf("after\n%s\ncomes\n%s", first, second)
				}
				uri := "sip:101@" + phoneAddr.String() + ";line=x"
				a2 := "MESSAGE:" + uri
				qop := param(got, "qop")
				if qop == "auth-int" {
					a2 += ":" + tc.hash("Hello")
				}
				between := ":n1:"
				if offered := param(tc.challenge, "qop"); offered != "" {
					between += "00000001:" + param(got, "cnonce") + ":" + qop + ":"
					if qop == "" || !strings.Contains(offered, qop) || param(got, "cnonce") == "" {
						t.Errorf("%s is answered with %s", tc.challenge, got)
					}
				}
				a1 := tc.username + ":" + tc.realm + ":secret-101"
				for name, want := range map[string]string{
					"response": tc.hash(tc.hash(a1) + between + tc.hash(a2)),
					"username": tc.username, "realm": tc.realm, "uri": uri, "nonce": "n1",
					"opaque": param(tc.challenge, "opaque"), "nc": strings.Split(between+"::::", ":")[2],
				} {
					if param(got, name) != want {
						t.Errorf("%s is answered with %s, the %s should be %q", tc.challenge, got, name, want)
					}
				}
				w.expect()
				w.answer(second, "202 Accepted")
				w.expect("202 Accepted")
				w.nothing()
			})
		}
	}
}

// TestSecondChallenge has a phone challenge what is signed as well.
func TestSecondChallenge(t *testing.T) {
	for _, again := range []string{
		`Digest realm="phone", nonce="n1"`, `Digest realm="phone", nonce="n2", stale=true`,
		`Digest realm="door", nonce="n1"`,
	} {
		inWorld(t, func(w *world) {
			r := w.request()
			r.Credentials = phoneCredentials
			w.send(r)
			w.answer(w.receive(), "401 Unauthorized", `WWW-Authenticate: Digest realm="phone", nonce="n1"`)
			w.answer(w.receive(), "401 No", "WWW-Authenticate: "+again)
			w.expect("401 No")
			w.nothing()
		})
	}
}

// TestSignsNothing has phones that would have something signed for another place, or with a
// password that is not their user's own.
func TestSignsNothing(t *testing.T) {
	const (
		fits = `Digest realm="phone", nonce="n"`
		here = "sip:101@192.0.2.7"
	)
	one := func(realm, username, password string) []Credentials {
		return []Credentials{{realm, username, password}}
	}
	for name, tc := range map[string]struct {
		uri         string
		credentials []Credentials
		challenges  string // separated by |
		signed      bool
	}{
		"as it should be":                {here, phoneCredentials, fits, true},
		"another port":                   {"sip:101@192.0.2.7:9", phoneCredentials, fits, true},
		"IPv4 written as IPv6":           {"sip:101@[::ffff:192.0.2.7]", phoneCredentials, fits, true},
		"the second that fits":           {here, phoneCredentials, `Digest realm="x", nonce="n"|` + fits, true},
		"the second that is known":       {here, phoneCredentials, `Digest realm="phone", nonce="n", algorithm=X|` + fits, true},
		"another realm":                  {here, phoneCredentials, `Digest realm="victim", nonce="n"`, false},
		"a realm in another case":        {here, phoneCredentials, `Digest realm="Phone", nonce="n"`, false},
		"another place":                  {"sip:101@192.0.2.50", phoneCredentials, fits, false},
		"a name":                         {"sip:101@phone.example.com", phoneCredentials, fits, false},
		"a number":                       {"tel:101", phoneCredentials, fits, false},
		"no credentials":                 {here, nil, fits, false},
		"a password that all share":      {here, one("phone", "{user}", "secret"), fits, false},
		"no password":                    {here, one("phone", "server", ""), fits, false},
		"no username":                    {here, one("phone", "", "{user}"), fits, false},
		"no realm":                       {here, one("", "server", "{user}"), `Digest realm="", nonce="n"`, false},
		"no challenge":                   {here, phoneCredentials, "", false},
		"no digest":                      {here, phoneCredentials, `Basic realm="phone"`, false},
		"an algorithm that is not known": {here, phoneCredentials, fits + ", algorithm=MD5-sess", false},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				r := w.request()
				r.URI, r.Credentials = []byte(tc.uri), tc.credentials
				w.send(r)
				first := w.receive()
				var lines []string
				for c := range strings.SplitSeq(tc.challenges, "|") {
					if c != "" {
						lines = append(lines, "WWW-Authenticate: "+c)
					}
				}
				w.answer(first, "401 Unauthorized", lines...)
				if !tc.signed {
					w.expect("401 Unauthorized")
					w.nothing()
					return
				}
				second := w.receive()
				if header(second, "Authorization") == "" {
					t.Errorf("got\n%s", second)
				}
				w.answer(second, "200 OK")
				w.expect("200 OK")
			})
		})
	}
	// The field has to be that of the status.
	inWorld(t, func(w *world) {
		r := w.request()
		r.Credentials = phoneCredentials
		w.send(r)
		w.answer(w.receive(), "407 x", "WWW-Authenticate: "+fits)
		w.expect("407 x")
	})
}

// TestSignedFails has the request that answers a challenge come to nothing.
func TestSignedFails(t *testing.T) {
	for name, tc := range map[string]struct {
		nonce, body string
		then        func(w *world)
		want        string
	}{
		"no answer":  {"n", "", func(w *world) { w.phone.Close() }, "the transaction timed out"},
		"not wanted": {"n", "", func(w *world) { w.answer(w.receive(), "403 Forbidden") }, "403 Forbidden"},
		"not sent": { // with the answer it is larger than a message may be
			strings.Repeat("n", 30000), strings.Repeat("x", 40000), (*world).nothing,
			"reading the request to send: 413 Message Too Large",
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				r := w.request()
				r.Credentials, r.Body = phoneCredentials, []byte(tc.body)
				w.send(r)
				w.answer(w.receive(), "401 x",
					`WWW-Authenticate: Digest realm="phone", nonce="`+tc.nonce+`"`)
				tc.then(w)
				w.settle()
				w.expect(tc.want)
			})
		})
	}
}

// TestSignedLater has a phone challenge a request after others have been sent.
func TestSignedLater(t *testing.T) {
	inWorld(t, func(w *world) {
		r := w.request()
		r.Credentials = phoneCredentials
		w.send(r)
		first := w.receive()
		for range 10 {
			other := w.request()
			other.Body = []byte("Other")
			w.send(other)
			w.answer(w.receive(), "200 OK")
		}
		w.answer(first, "401 Unauthorized", `WWW-Authenticate: Digest realm="phone", nonce="n"`)
		second := w.receive()
		if header(second, "Call-ID") != header(first, "Call-ID") || !strings.HasSuffix(second, "Hello") {
			t.Errorf("after\n%s\ncomes\n%s", first, second)
		}
	})
}

// TestSignedElsewhere registers over IPv6 with a zone, which is no part of a URI.
func TestSignedElsewhere(t *testing.T) {
	r := &Request{URI: []byte("sip:101@[fe80::1]"), Credentials: phoneCredentials}
	r.Flow.Remote = netip.MustParseAddrPort("[fe80::1%eth0]:5060")
	if !r.signed() {
		t.Error("a link-local address is not itself")
	}
	r.Flow.Remote = netip.MustParseAddrPort("[fe80::2]:5060")
	if r.signed() {
		t.Error("another address is taken for the phone's")
	}
}
