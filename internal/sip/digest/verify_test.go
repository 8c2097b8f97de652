package digest

import (
	"fmt"
	"strings"
	"testing"

	client "github.com/icholy/digest"
)

// TestVectors has the answers that the RFCs print.
func TestVectors(t *testing.T) {
	for name, test := range map[string]struct{ credentials, password string }{
		"RFC 7616 §3.9.1, SHA-256": {rfc7616, "Circle of Life"},
		"RFC 7616 §3.9.1, MD5": {strings.NewReplacer("SHA-256", "MD5", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
			"8ca523f5e9506fed4657c9700eebdbec").Replace(rfc7616), "Circle of Life"},
		"RFC 2617 §3.5": {`Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="/dir/index.html", ` +
			`qop=auth, nc=00000001, cnonce="0a4f113b", response="6629fae49393a05397450978507c4ef1"`, "Circle Of Life"},
		"RFC 2069 §2.4, with its erratum": {`Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", ` +
			`uri="/dir/index.html", response="1949323746fe6a43ef61f9606e7febea"`, "CircleOfLife"},
	} {
		var c Credentials
		if err := c.Parse([]byte(test.credentials)); err != nil {
			t.Fatal(err)
		}
		ha1 := HA1(c.Algorithm, string(c.Username), string(c.Realm), test.password)
		if !c.Verify(ha1, []byte("GET")) {
			t.Errorf("%s: wrong", name)
		}
		for what, right := range map[string]bool{
			"method":   c.Verify(ha1, []byte("POST")),
			"password": c.Verify(HA1(c.Algorithm, string(c.Username), string(c.Realm), "x"), []byte("GET")),
			"HA1":      c.Verify("", []byte("GET")),
		} {
			if right {
				t.Errorf("%s: another %s is right too", name, what)
			}
		}
	}
}

// TestClient answers challenges as the client library does that the simulated phone has.
func TestClient(t *testing.T) {
	for a := MD5; a < NumAlgorithms; a++ {
		text := AppendChallenge(nil, []byte("example.com"), []byte("n0nce"), a, false)
		if want := `Digest realm="example.com", nonce="n0nce", algorithm=` + a.String() + `, qop="auth"`; string(text) != want {
			t.Errorf("got  %s\nwant %s", text, want)
		}
		challenge, err := client.ParseChallenge(string(text))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Digest(challenge, client.Options{Method: "INVITE", URI: "sip:102@example.com", Username: "101", Password: "secret", Count: 7})
		if err != nil {
			t.Fatal(err)
		}
		var c Credentials
		if err := c.Parse([]byte(answer.String())); err != nil {
			t.Fatal(err)
		}
		if ha1 := HA1(a, "101", "example.com", "secret"); !ValidHA1(a, ha1) || !c.Verify(ha1, []byte("INVITE")) || c.NC != 7 || c.Algorithm != a {
			t.Errorf("%s: %s is not taken", a, answer)
		}
		// Whatever is changed, the response is none for it.
		for _, change := range []func(c *Credentials){
			func(c *Credentials) { c.URI = []byte("sip:103@example.com") },
			func(c *Credentials) { c.Nonce = []byte("n1nce") },
			func(c *Credentials) { c.nc = []byte("00000008") },
			func(c *Credentials) { c.cnonce = []byte("x") },
			func(c *Credentials) { c.qop = nil },
			func(c *Credentials) { c.response[0] ^= 1 },
			func(c *Credentials) { c.response[a.Size()-1] ^= 1 },
		} {
			changed := c
			if change(&changed); changed.Verify(HA1(a, "101", "example.com", "secret"), []byte("INVITE")) {
				t.Errorf("%s: %+v is taken", a, changed)
			}
		}
	}
	if text := string(AppendChallenge(nil, nil, nil, MD5, true)); !strings.HasSuffix(text, `, stale=true`) {
		t.Error(text)
	}
}

func TestUnknownAlgorithm(t *testing.T) {
	var c Credentials
	if err := c.Parse([]byte(least + ", algorithm=MD5-sess")); err != nil || c.Verify(hash32, []byte("REGISTER")) {
		t.Errorf("%v, %+v", err, c)
	}
}

func TestAlgorithms(t *testing.T) {
	for text, want := range map[string]Algorithm{"": Other, "md5": MD5, "Sha-256": SHA256, "SHA-512-256": SHA512_256, "SHA-512": Other, "MD5-sess": Other} {
		if got := ParseAlgorithm(text); got != want {
			t.Errorf("%q is %d, want %d", text, got, want)
		}
	}
	for text, want := range map[string]string{
		hash32: "MD5", strings.ToUpper(hash32): "MD5", hash32 + hash32: "SHA-512-256 SHA-256", "": "", "x" + hash32[1:]: "", hash32[1:]: "", hash32 + "00": "",
	} {
		var valid []string
		for a := Other; a < NumAlgorithms; a++ {
			if ValidHA1(a, text) {
				valid = append(valid, a.String())
			}
		}
		if got := strings.Join(valid, " "); got != want {
			t.Errorf("%q is an HA1 of %q, want %q", text, got, want)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	for a := MD5; a < NumAlgorithms; a++ {
		b.Run(a.String(), func(b *testing.B) {
			var c Credentials
			text := fmt.Sprintf(`Digest username="u", realm="example.com", nonce="%s", uri="sip:example.com", response="%0*d", algorithm=%s, qop=auth, `+
				`nc=00000001, cnonce="f2/wE4q74E6zIJEt"`, hash32, 2*a.Size(), 0, a)
			if err := c.Parse([]byte(text)); err != nil {
				b.Fatal(err)
			}
			ha1, method := HA1(a, "u", "example.com", "secret"), []byte("REGISTER")
			b.ReportAllocs()
			for b.Loop() {
				if c.Verify(ha1, method) {
					b.Fatal("taken")
				}
			}
		})
	}
}
