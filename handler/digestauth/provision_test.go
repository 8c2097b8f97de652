package digestauth

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/logging" // logs to files

	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/module/moduletest"
)

func TestUnmarshalCaddyfile(t *testing.T) {
	for text, want := range map[string]*DigestAuth{
		"digest_auth":                                {},
		"digest_auth {\nuser 101 pass\n}":            {Users: []User{{Name: "101", Password: "pass"}}},
		"digest_auth {\nuser 101 SHA-1:x\n}":         {Users: []User{{Name: "101", Password: "SHA-1:x"}}},
		"digest_auth {\nuser 101 md5:x sha-256:y\n}": {Users: []User{{Name: "101", HA1: map[string]string{"MD5": "x", "SHA-256": "y"}}}},
		"digest_auth {\nuser 101 a\nuser 102 b\nrealm r\nusers_file f\nidentity own\nuri any\nnonce_lifetime 90s\nfailures 3\nban 1h\n}": {
			Users: []User{{Name: "101", Password: "a"}, {Name: "102", Password: "b"}}, Realm: "r", UsersFile: "f", Identity: "own", URI: "any",
			NonceLifetime: 90e9, Failures: 3, Ban: 3600e9,
		},
		"digest_auth {\nfailures 3 5s\nalgorithm sha-256\n}":      {Failures: 3, FailureWindow: 5e9, Algorithms: []string{"sha-256"}},
		"digest_auth {\nfailures off\nidentity any\n}":            {Failures: -1, Identity: "any"},
		"digest_auth {\nprovider test_guests {\nuser alice\n}\n}": {ProvidersRaw: []json.RawMessage{json.RawMessage(`{"provider":"test_guests","users":["alice"]}`)}},
	} {
		var h DigestAuth
		if err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text)); err != nil || !reflect.DeepEqual(&h, want) {
			got, _ := json.Marshal(&h)
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"digest_auth secret {\n}":                      "digest_auth takes no arguments",
		"digest_auth {\npassword secret\n}":            "unrecognized option 'password' of digest_auth: known are algorithm, ban, failures",
		"digest_auth {\nuser secret\n}":                "user of digest_auth takes a name and a password",
		"digest_auth {\nuser 101 \"\"\n}":              "user of digest_auth takes a name and a password",
		"digest_auth {\nuser 101 my secret\n}":         "user 101 of digest_auth takes one password",
		"digest_auth {\nuser 101 MD5:secret secret\n}": "user 101 of digest_auth takes one password",
		"digest_auth {\nuser 101 $2a$14$secret\n}":     "make one with: caddysip sip hash-password --user 101 --realm \"<realm>\", at Testfile:2",
		"digest_auth {\nuser 101 MD5:secret MD5:x\n}":  "user 101 of digest_auth has two hashes by MD5",
		"digest_auth {\nrealm\n}":                      "realm of digest_auth needs a value",
		"digest_auth {\nrealm a b\n}":                  "realm of digest_auth takes one value",
		"digest_auth {\nrealm \"\"\n}":                 "realm of digest_auth needs a value",
		"digest_auth {\nrealm a\nrealm b\n}":           "realm of digest_auth is given twice",
		"digest_auth {\nusers_file\n}":                 "users_file of digest_auth needs a value",
		"digest_auth {\nidentity all\n}":               "identity of digest_auth is own or any, not 'all'",
		"digest_auth {\nuri all\n}":                    "uri of digest_auth is own or any, not 'all'",
		"digest_auth {\nalgorithm\n}":                  "algorithm of digest_auth needs at least one value",
		"digest_auth {\nalgorithm MD5-sess\n}":         `"MD5-sess" is not an algorithm`,
		"digest_auth {\nnonce_lifetime 0\n}":           "nonce_lifetime of digest_auth takes a duration above zero such as 30s or 5m, not '0'",
		"digest_auth {\nnonce_lifetime\n}":             "nonce_lifetime of digest_auth needs a value",
		"digest_auth {\nban long\n}":                   "ban of digest_auth takes a duration above zero",
		"digest_auth {\nfailures\n}":                   "failures of digest_auth takes a number and a duration",
		"digest_auth {\nfailures 1 2 3\n}":             "failures of digest_auth takes a number and a duration",
		"digest_auth {\nfailures 0\n}":                 "not '0'",
		"digest_auth {\nfailures 5 x\n}":               "takes a duration above zero such as 30s or 5m, not 'x'",
		"digest_auth {\nprovider\n}":                   "provider of digest_auth needs the name of a provider",
		"digest_auth {\nprovider nowhere\n}":           "sip.authentication.providers.nowhere",
	} {
		err := new(DigestAuth).UnmarshalCaddyfile(caddyfile.NewTestDispenser(text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestProvision(t *testing.T) {
	t.Setenv("SIP_TEST_PASSWORD", "secret-from-outside")
	t.Setenv("SIP_TEST_EMPTY", "")
	user := `{"name": "101", "password": "secret-of-101"}`
	for options, want := range map[string]string{
		`"users": [` + user + `]`: "",
		`"users": [{"name": "101", "password": "{env.SIP_TEST_PASSWORD}"}]`:              "",
		`"users": [{"name": "101", "password": "curly {braces}"}]`:                       "",
		`"users": [{"name": "101", "ha1": {"md5": "0123456789ABCDEF0123456789abcdef"}}]`: "",
		``:                                     "there are no users",
		`"users": [` + user + `,` + user + `]`: "user 101 is there twice",
		`"users": [{"name": "101", "password": "{env.SIP_TEST_EMPTY}"}]`:        "user 101 has no password, or its placeholders are empty",
		`"users": [{"name": "101"}]`:                                            "user 101 has no password",
		`"users": [{"name": "101", "password": "$2a$14$secret"}], "realm": "r"`: `make one with: caddysip sip hash-password --user 101 --realm "r"`,
		`"users": [{"name": "101", "password": "$argon2id$v=19$secret"}]`:       "user 101 has a hash of a kind that SIP's digest can't be checked with",
		`"users": [{"password": "secret-x"}]`:                                   "a user has no name",
		`"users": [{"name": "1:2", "password": "secret-x"}]`:                    `user "1:2": the name must have no colon`,
		`"users": [{"name": "101", "password": "secret-x", "ha1": {}}]`:         "user 101 has a password and hashes",
		`"users": [{"name": "101", "ha1": {"MD4": "secret"}}]`:                  `user 101: "MD4" is not an algorithm`,
		`"users": [{"name": "101", "ha1": {"MD5": "secret"}}]`:                  "user 101: the hash by MD5 must be 32 hexadecimal digits",
		`"users": [` + user + `], "algorithms": ["SHA-1"]`:                      `"SHA-1" is not an algorithm`,
		`"users": [` + user + `], "algorithms": ["MD5", "md5"]`:                 "the algorithm MD5 is there twice",
		`"users": [` + user + `], "realm": "a\"b"`:                              "have no quotes",
		`"users": [` + user + `], "realm": "{env.SIP_TEST_EMPTY}"`: "realm: evaluated placeholder " +
			"{env.SIP_TEST_EMPTY} is empty",
		`"users": [` + user + `], "identity": "all"`:            `identity "all": it is own or any`,
		`"users": [` + user + `], "nonce_lifetime": "1ms"`:      "nonce_lifetime must be from 1 second to 24 hours",
		`"users": [` + user + `], "nonce_lifetime": "25h"`:      "nonce_lifetime must be from 1 second to 24 hours",
		`"users": [` + user + `], "failures": -1, "ban": "-1s"`: "must not be negative",
		`"users": [` + user + `], "failure_window": "-1s"`:      "window must be from",
		`"users": [` + user + `], "ban": "-1s"`:                 "must not be negative",
		`"users_file": "/nowhere/users"`:                        "reading the users file: stat /nowhere/users",
		`"providers": [{"provider": "nowhere"}]`:                "loading the providers",
		`"providers": [{"provider": "test_useless"}]`:           "knows no users",
	} {
		config := `{"servers": {"s": {"listen": ["udp/127.0.0.1:5060"], "routes": [{"handle": [{"handler": "digest_auth"`
		if options != "" {
			config += ", " + options
		}
		_, err := moduletest.Load(t, config+`}]}]}}}`)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%s: %v, want %q", options, err, want)
		}
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	if err := new(DigestAuth).Provision(ctx); err == nil || !strings.Contains(err.Error(), "only in the routes of a SIP server") {
		t.Errorf("outside a server: %v", err)
	}
	if err := new(DigestAuth).Cleanup(); err != nil {
		t.Error(err)
	}
}

// logged runs a configuration whose log goes to a file, and returns that.
func logged(t *testing.T, directives string, f func(s *handlertest.Server)) string {
	t.Helper()
	addr := handlertest.FreeAddr(t)
	file := filepath.Join(t.TempDir(), "log")
	s := handlertest.StartCaddyfile(t, addr, fmt.Sprintf("{\nadmin off\nlog {\noutput file %s\nformat json\nlevel DEBUG\n}\nsip {\n%s {\n%s\n}\n}\n}\n",
		file, addr, directives))
	if f != nil {
		f(s)
	}
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(log)
}

func TestWarnings(t *testing.T) {
	md5 := strings.Repeat("0", 32)
	log := logged(t, "register\ndigest_auth {\nuser 101234 101234\nuser 102 sh0rt\nuser 103 secret-long\nuser 104 MD5:"+md5+"\nalgorithm SHA-256 MD5\n}", nil)
	for text, want := range map[string]int{
		`"user":"101234"`: 1, `"user":"102"`: 1, `"user":"103"`: 0, "a password is easily guessed": 2, "sh0rt": 0, "secret-long": 0, md5: 0,
		`"algorithm":"SHA-256","user":"104"`: 1, "anybody who can reach the server": 0,
		"passwords stand in the configuration": 1, `"users":3,"command":"caddysip sip hash-password --user <name> --realm \"caddysip\""`: 1,
	} {
		if n := strings.Count(log, text); n != want {
			t.Errorf("%d times %s, want %d:\n%s", n, text, want, log)
		}
	}
}

// TestNoWarning has passwords that nobody can read in the configuration.
func TestNoWarning(t *testing.T) {
	t.Setenv("SIP_TEST_PASSWORD", "secret-from-outside")
	hash := strings.Repeat("0", 32)
	log := logged(t, "digest_auth {\nuser 101 {env.SIP_TEST_PASSWORD}\nuser 102 MD5:"+hash+"\nalgorithm MD5\n}\nregister", nil)
	if strings.Contains(log, "passwords stand in the configuration") || strings.Contains(log, "secret-") {
		t.Errorf("got\n%s", log)
	}
}

// TestLog has what is logged of those who are refused, and what must not be.
func TestLog(t *testing.T) {
	var lines []string
	log := logged(t, "log\ndigest_auth {\n"+users+"\n}\nregister", func(s *handlertest.Server) {
		p := newPhone(t, s, "udp", "alice")
		for _, password := range []string{"wrong-password", "secret-alice"} {
			p.password = password
			credentials := p.answers(p.challenged("REGISTER", "sip:127.0.0.1"), "REGISTER", "sip:127.0.0.1", 1)
			lines = append(lines, credentials)
			p.Send(p.register(credentials))
			p.Receive()
			p.ask(p.register(credentials), "401")
		}
		p.ask(p.register(p.answers(p.challenged("REGISTER", "sip:127.0.0.1"), "REGISTER", "sip:127.0.0.1", 1), "From: <sip:bob@127.0.0.1>;tag=x"), "403")
		p.ask(p.register(lines[0]+", username=\"x\""), "400")
		log := `"user":"alice","source":"` + p.Addr.String() + `","transport":"udp","method":"REGISTER"`
		lines = append(lines, log)
	})
	for text, want := range map[string]int{
		"a wrong password, or a user who is not known":                              1, // the second one within the minute is not logged
		"credentials that were used before":                                         1,
		`"a user pretends to be somebody else","from":"bob@127.0.0.1","to":"alice@`: 1,
		"malformed credentials":                                                     1,
		lines[2]:                                                                    3,
		"wrong-password":                                                            0, "secret-": 0,
	} {
		if n := strings.Count(log, text); n != want {
			t.Errorf("%d times %s, want %d:\n%s", n, text, want, log)
		}
	}
	for _, l := range lines[:2] {
		for _, name := range []string{"response", "cnonce", "nonce"} {
			_, value, _ := strings.Cut(l, " "+name+`="`)
			value, _, _ = strings.Cut(value, `"`)
			if len(value) < 8 || strings.Contains(log, value) {
				t.Errorf("%s %q is logged:\n%s", name, value, log)
			}
		}
	}
}
