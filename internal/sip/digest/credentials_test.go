package digest

import (
	"fmt"
	"strings"
	"testing"
)

// rfc7616 is the answer of RFC 7616 §3.9.1 in SHA-256.
const rfc7616 = `Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm=SHA-256, ` +
	`nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, ` +
	`response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`

const (
	hash32 = "0123456789abcdef0123456789abcdef"
	least  = `Digest username="u", realm="r", nonce="n", uri="sip:x", response="` + hash32 + `"`
)

func TestParse(t *testing.T) {
	var c Credentials
	if err := c.Parse([]byte(rfc7616)); err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%s %s %s %s %s %d %s %s %s %x", c.Username, c.Realm, c.Nonce, c.URI, c.Algorithm, c.NC, c.qop, c.nc, c.cnonce, c.response)
	want := "Mufasa http-auth@example.org 7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v /dir/index.html SHA-256 1 auth 00000001 " +
		"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ 753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
	if got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
}

// TestParseForms has what phones write otherwise than the grammar has it, and what it allows and
// nobody expects.
func TestParseForms(t *testing.T) {
	for text, want := range map[string]string{
		least: "u|r|n|sip:x|MD5|0",
		"dIGEST\t username = \"u\" ,,REALM=\"r\",\tNonce=n,uri=sip:x,response=" + hash32 + " , ": "u|r|n|sip:x|MD5|0",
		least + `, algorithm="md5", qop="AUTH", nc="0000000A", cnonce=""`:                        "u|r|n|sip:x|MD5|10",
		least + `, nc=zz, cnonce="x"`:                                                                   "u|r|n|sip:x|MD5|0", // without qop they say nothing
		least + `, userhash=false, username1="x", x=1, x=2`:                                             "u|r|n|sip:x|MD5|0",
		strings.Replace(least, `"u"`, `"a\"b\\c, d"`, 1):                                                `a"b\c, d|r|n|sip:x|MD5|0`,
		strings.Replace(least, `"u"`, `"Jürgen"`, 1):                                                    "Jürgen|r|n|sip:x|MD5|0",
		strings.Replace(least, hash32, strings.ToUpper(hash32), 1):                                      "u|r|n|sip:x|MD5|0",
		least + `, algorithm=MD5-sess`:                                                                  "u|r|n|sip:x||0",
		strings.Replace(least, hash32, hash32+hash32, 1) + `, algorithm=SHA-512-256`:                    "u|r|n|sip:x|SHA-512-256|0",
		strings.Replace(least, hash32, "x", 1) + `, algorithm=SHA-3`:                                    "u|r|n|sip:x||0",
		least + `, qop=auth, cnonce="c", nc=ffffffff`:                                                   "u|r|n|sip:x|MD5|4294967295",
		strings.Replace(least, `"sip:x"`, `"sip:x,y;z=\"1\""`, 1) + `, qop=auth, cnonce=c, nc=00000001`: `u|r|n|sip:x,y;z="1"|MD5|1`,
	} {
		var c Credentials
		if err := c.Parse([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := fmt.Sprintf("%s|%s|%s|%s|%s|%d", c.Username, c.Realm, c.Nonce, c.URI, c.Algorithm, c.NC); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	with := func(more string) string { return least + ", " + more }
	without := func(name string) string { return strings.Replace(least, name+"=", "x"+name+"=", 1) }
	for text, want := range map[string]error{
		"":                   ErrScheme,
		"Digest":             ErrScheme,
		"Digestusername=x":   ErrScheme,
		`Basic dXNlcjpwYXNz`: ErrScheme,
		"Digest ":            ErrMissing,
		without("username"):  ErrMissing,
		without("realm"):     ErrMissing,
		without("nonce"):     ErrMissing,
		without("uri"):       ErrMissing,
		without("response"):  ErrMissing,
		`Digest username="", realm="r", nonce="n", uri="x", response="` + hash32 + `"`: ErrMissing,
		with(`Username="v"`):                                 ErrDuplicate,
		with(`realm="r"`):                                    ErrDuplicate,
		with(`response="` + hash32 + `"`):                    ErrDuplicate,
		with(`nc=1, nc=1`):                                   ErrDuplicate,
		with(`qop=auth-int, nc=00000001, cnonce="c"`):        ErrQop,
		with(`qop="auth,auth-int", nc=00000001, cnonce="c"`): ErrQop,
		with(`qop="", nc=00000001, cnonce="c"`):              ErrQop,
		with(`qop=auth`):                                     ErrCount,
		with(`qop=auth, cnonce="c"`):                         ErrCount,
		with(`qop=auth, nc=00000001`):                        ErrCount,
		with(`qop=auth, nc=1, cnonce="c"`):                   ErrCount,
		with(`qop=auth, nc=00000000, cnonce="c"`):            ErrCount,
		with(`qop=auth, nc=0000000g, cnonce="c"`):            ErrCount,
		with(`qop=auth, nc=-0000001, cnonce="c"`):            ErrCount,
		with(`userhash=true`):                                ErrUsername,
		with(`username*=UTF-8''u`):                           ErrUsername,
		with(`algorithm=SHA-256`):                            ErrResponse,
		strings.Replace(least, hash32, hash32[1:], 1):        ErrResponse,
		strings.Replace(least, hash32, "x"+hash32[1:], 1):    ErrResponse,
		strings.Replace(least, hash32, "", 1):                ErrResponse,
		with(`x`):                                            ErrSyntax,
		with(`x=`):                                           ErrSyntax,
		with(`=x`):                                           ErrSyntax,
		with(`x y=z`):                                        ErrSyntax,
		with(`x="y`):                                         ErrSyntax,
		with(`x="y\`):                                        ErrSyntax,
		with(`x="y\"`):                                       ErrSyntax,
		with(`x="y"z`):                                       ErrSyntax,
		with(`x="y" "z"`):                                    ErrSyntax,
		with(`x=y"z"`):                                       ErrSyntax,
		with("x=\"y\x00\""):                                  ErrSyntax,
		with("x=\"y\\\r\n\""):                                ErrSyntax,
		with("x=\"y\x7f\""):                                  ErrSyntax,
		with(`(x)=y`):                                        ErrSyntax,
		least + ` x=y`:                                       ErrSyntax,
		with(`x="` + strings.Repeat("y", MaxLength) + `"`):   ErrTooLong,
		with(strings.Repeat("x=y,", MaxParams)):              ErrParams,
		"Digest " + strings.Repeat(",", MaxLength-len("Digest ")): ErrMissing,
	} {
		var c Credentials
		if err := c.Parse([]byte(text)); err != want {
			t.Errorf("%.200s: %v, want %v", text, err, want)
		}
	}
	for n := MaxParams - 6; n < MaxParams; n++ {
		var c Credentials
		err := c.Parse([]byte(with(strings.Repeat("x=y,", n))))
		if want := n+5 <= MaxParams; (err == nil) != want {
			t.Errorf("%d parameters: %v", n+5, err)
		}
	}
}

// TestParseDuplicates has each parameter twice, the same both times: a server further on may read
// another one than we do.
func TestParseDuplicates(t *testing.T) {
	const all = least + `, algorithm=MD5, qop=auth, nc=00000001, cnonce="c", userhash=false`
	for parameter := range strings.SplitSeq(strings.TrimPrefix(all, "Digest "), ", ") {
		for _, text := range []string{all + ", " + parameter, "Digest " + parameter + ", " + strings.TrimPrefix(all, "Digest ")} {
			var c Credentials
			if err := c.Parse([]byte(text)); err != ErrDuplicate {
				t.Errorf("%s: %v", text, err)
			}
		}
	}
}

func TestRealmOf(t *testing.T) {
	for text, want := range map[string]string{
		least: "r", rfc7616: "http-auth@example.org", `Digest ,x=1,, Realm = "a\"b", realm="c"`: `a"b`, `Digest realm=r`: "r", `Digest realm="r", "`: "r",
		"": "", "Digest": "", `Basic realm="r"`: "", `Digestrealm="r"`: "", `Digest x, realm="r"`: "", `Digest "realm="r"`: "",
		"Digest " + strings.Repeat("x=1,", MaxParams-1) + "realm=r": "r", "Digest " + strings.Repeat("x=1,", MaxParams) + "realm=r": "",
	} {
		if got := string(RealmOf([]byte(text))); got != want {
			t.Errorf("%.200s: %q, want %q", text, got, want)
		}
	}
}

// FuzzParse holds credentials that were read against what was read of them when they are written
// again.
func FuzzParse(f *testing.F) {
	f.Add([]byte(rfc7616))
	f.Add([]byte(least))
	f.Add([]byte(least + `, qop=auth, nc=00000001, cnonce="\"\\"`))
	f.Add([]byte(`Digest username*=UTF-8''J, userhash=true`))
	f.Add([]byte("Digest ,,=,\"\\"))
	f.Fuzz(func(t *testing.T, text []byte) {
		before := string(text)
		var c Credentials
		err := c.Parse(text)
		realm := RealmOf(text)
		if err == nil && string(realm) != string(c.Realm) {
			t.Errorf("the realm of %q is %q, not %q", text, c.Realm, realm)
		}
		if string(text) != before {
			t.Fatal("the text was changed")
		}
		if err != nil {
			return
		}
		if c.Algorithm == Other {
			c.Algorithm = MD5
		}
		var again Credentials
		if err := again.Parse(compose(&c)); err != nil {
			t.Fatalf("%s: %v", compose(&c), err)
		}
		if string(compose(&again)) != string(compose(&c)) {
			t.Errorf("%q became %q", compose(&c), compose(&again))
		}
		for _, ha1 := range []string{"", hash32} {
			c.Verify(ha1, []byte("REGISTER"))
		}
	})
}

// compose writes credentials.
func compose(c *Credentials) []byte {
	quote := func(b []byte) string { return `"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(string(b)) + `"` }
	text := fmt.Sprintf("Digest username=%s, realm=%s, nonce=%s, uri=%s, response=%x, algorithm=%s", quote(c.Username), quote(c.Realm), quote(c.Nonce),
		quote(c.URI), c.response[:c.Algorithm.Size()], c.Algorithm)
	if c.qop != nil {
		text += fmt.Sprintf(", qop=%s, nc=%s, cnonce=%s", c.qop, c.nc, quote(c.cnonce))
	}
	return []byte(text)
}

func BenchmarkParse(b *testing.B) {
	text := []byte(rfc7616)
	var c Credentials
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}
