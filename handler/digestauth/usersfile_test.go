package digestauth

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/internal/sip/digest"
)

// line returns a line of a users file.
func line(user, realm string, a digest.Algorithm, password string) string {
	return fmt.Sprintf("%s:%s:%s:%s\n", user, realm, a, digest.HA1(a, user, realm, password))
}

// replace writes a file as a whole.
func replace(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func TestParseUsers(t *testing.T) {
	d, err := parseUsers("users", []byte("\ufeff"[:0]+"# comment\n\n  \r\n"+line("101", "example.com", digest.MD5, "x")+line("101", "example.com", digest.SHA256, "x")+
		line("102", "[2001:db8::1]", digest.MD5, "y")+line("101", "example.org", digest.MD5, "z")+
		"  103:example.com:sha-256:"+strings.ToUpper(digest.HA1(digest.SHA256, "103", "example.com", "w"))+"\r\n"), "example.com")
	if err != nil {
		t.Fatal(err)
	}
	same(t, "users", len(d.users), 2)
	same(t, "MD5 of 101", d.users["101"][digest.MD5], digest.HA1(digest.MD5, "101", "example.com", "x"))
	same(t, "SHA-256 of 103", d.users["103"][digest.SHA256], digest.HA1(digest.SHA256, "103", "example.com", "w"))
	same(t, "who has no MD5", d.userWithout(digest.MD5), "103")
	same(t, "who has no SHA-256", d.userWithout(digest.SHA256), "")
	same(t, "who has no SHA-512-256", d.userWithout(digest.SHA512_256), "101")
	d, err = parseUsers("users", []byte(line("102", "[2001:db8::1]", digest.MD5, "y")), "[2001:db8::1]")
	if err != nil || d.users["102"][digest.MD5] != digest.HA1(digest.MD5, "102", "[2001:db8::1]", "y") {
		t.Errorf("%+v, %v", d, err)
	}
	good := line("101", "r", digest.MD5, "x")
	for text, want := range map[string]string{
		"101:secret":                             "users:2: not user:realm:algorithm:HA1",
		"101":                                    "users:2: not user:realm:algorithm:HA1",
		"101:r:5ebe2294ecd0e0f08eab7690d2a6ee69": "users:2: not user:realm:algorithm:HA1",
		":r:MD5:5ebe2294ecd0e0f08eab7690d2a6ee69": "users:2: a user has no name",
		"101:r:MD4:secret":                        "users:2: the algorithm is not MD5, SHA-256 or SHA-512-256",
		"101:r:MD5:secret":                        "users:2: the hash by MD5 must be 32 hexadecimal digits",
		"101:other:SHA-256:" + good[10:]:          "users:2: the hash by SHA-256 must be 64 hexadecimal digits",
		"102:$2a$14$secret":                       `users:2: user 102 has a hash of a kind that SIP's digest can't be checked with`,
		"102:r:bcrypt:$2y$05$secret":              `caddysip sip hash-password --user 102 --realm "r"`,
		good:                                      "users:2: user 101 has a hash by MD5 already",
		strings.Repeat("x", maxLine+1):            "users:2: ",
	} {
		_, err := parseUsers("users", []byte(good+text), "r")
		if err == nil || !strings.HasPrefix(err.Error(), "users:2: ") || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "5ebe") {
			t.Errorf("%.80s: %v, want %s", text, err, want)
		}
	}
}

func FuzzParseUsers(f *testing.F) {
	f.Add(line("101", "r", digest.MD5, "x") + "#\n" + line("102", "r", digest.SHA256, "x"))
	f.Add("a:b:c:d:e\n:::\n")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseUsers("users", []byte(text), "r")
		if err != nil {
			return
		}
		for name, u := range d.users {
			for a, hash := range u {
				if hash != "" && (!digest.ValidHA1(digest.Algorithm(a), hash) || digest.CheckUser(name) != nil) {
					t.Errorf("user %q has %q", name, u)
				}
			}
		}
	})
}

// TestWatch follows a file that is changed, broken, taken away and put back.
func TestWatch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	replace(t, path, line("101", "r", digest.MD5, "x"))
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zapcore.DebugLevel)
		f := &usersFile{path: path, realm: "r", logger: zap.New(core)}
		if err := f.load(); err != nil {
			t.Fatal(err)
		}
		f.watch()
		defer f.stop()
		// The file's times are those of the machine, and the clock here is another one: what counts is that they differ.
		version := time.Now().Add(-time.Hour)
		change := func(content string) {
			t.Helper()
			replace(t, path, content)
			version = version.Add(time.Millisecond)
			if err := os.Chtimes(path, version, version); err != nil {
				t.Fatal(err)
			}
		}
		look := func() {
			<-time.After(time.Second)
			synctest.Wait()
		}
		users := func() string {
			var list []string
			for _, name := range []string{"101", "102", "103"} {
				if f.current.Load().users[name] != nil {
					list = append(list, name)
				}
			}
			return strings.Join(list, " ")
		}
		wantLog := func(want ...string) {
			t.Helper()
			var got []string
			for _, e := range logs.TakeAll() {
				text := e.Level.String() + " " + e.Message
				if err, ok := e.ContextMap()["error"]; ok {
					text += ": " + strings.TrimPrefix(err.(string), path)
				}
				got = append(got, text)
			}
			same(t, "log", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		const read, broken, kept = "info read the users file", "error the users file is not taken: the users are those that it had before: ",
			"error the users file is not taken: the users are those that it had before: stat "
		wantLog(read)
		look()
		change(line("101", "r", digest.MD5, "x") + line("102", "r", digest.MD5, "x"))
		same(t, "before it is looked at", users(), "101")
		look()
		same(t, "after a change", users(), "101 102")
		wantLog(read)

		// Written in place, it is empty for a while.
		if err := os.Truncate(path, 0); err != nil {
			t.Fatal(err)
		}
		look()
		look()
		same(t, "while it is written", users(), "101 102")
		wantLog("info the users file has lost rows: it is taken if it stays so for some seconds")
		change(line("101", "r", digest.MD5, "x"))
		for range 8 {
			look()
		}
		same(t, "when it stays short", users(), "101")
		wantLog("warn the users file has lost rows, and stayed so: it is taken", read)
		change(line("101", "r", digest.MD5, "x") + line("102", "r", digest.MD5, "x"))
		look()
		wantLog(read)

		change(line("103", "r", digest.MD5, "x") + "102:r:MD5:secret\n")
		look()
		look()
		same(t, "when it is broken", users(), "101 102")
		wantLog(broken + ":2: the hash by MD5 must be 32 hexadecimal digits")
		change(line("103", "r", digest.MD5, "x") + "\n102:r:MD5:secret\n")
		look()
		wantLog(broken + ":3: the hash by MD5 must be 32 hexadecimal digits")

		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		look()
		look()
		same(t, "when it is gone", users(), "101 102")
		wantLog(kept + path + ": no such file or directory")
		change(line("103", "r", digest.MD5, "x"))
		look()
		same(t, "when it is there again", users(), "103")
		wantLog(read)
		change(line("103", "other", digest.MD5, "x"))
		look()
		same(t, "with nobody for the realm", users(), "")
		wantLog("warn the users file has nobody for the realm: its lines are user:realm:algorithm:HA1")
		change(line("103", "other", digest.MD5, "x")) // the same once more
		look()
		wantLog()

		f.stop()
		f.stop()
		change(line("101", "r", digest.MD5, "x"))
		look()
		same(t, "after stop", users(), "")
		wantLog()
	})
}

// TestUsersFile changes a file under a running server.
func TestUsersFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	t.Setenv("SIP_TEST_USERS", path)
	replace(t, path, line("alice", "caddysip", digest.MD5, "secret-alice")+line("bob", "elsewhere", digest.MD5, "secret-bob"))
	config := "digest_auth {\nusers_file {env.SIP_TEST_USERS}\n}\nregister\nproxy"
	s := handlertest.Start(t, config)
	alice, bob := registered(t, s, "udp", "alice"), newPhone(t, s, "udp", "bob")
	until := func(p *phone, status string) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; {
			c := p.challenged("REGISTER", "sip:127.0.0.1")
			p.Send(p.register(p.answers(c, "REGISTER", "sip:127.0.0.1", 1)))
			if res := p.Receive(); strings.HasPrefix(res.Text, "SIP/2.0 "+status) {
				return
			} else if time.Now().After(deadline) {
				t.Fatalf("%s still gets\n%s", p.user, res.Text)
			}
		}
	}
	s.Load(handlertest.Caddyfile(s.Addr, strings.Replace(config, "users_file", "failures off\nusers_file", 1)))
	until(bob, "401") // his line is for another realm
	replace(t, path, line("bob", "caddysip", digest.MD5, "secret-bob")+line("bob", "caddysip", digest.SHA256, "secret-bob"))
	until(bob, "200")
	until(alice, "401")
	same(t, "offered", challenges(t, alice.ask(alice.register(), "401"))[0].Algorithm, "SHA-256") // as all have it now
	// A file that is broken when the configuration is loaded is an error.
	replace(t, path, "bob\n")
	err := s.TryLoad(handlertest.Caddyfile(s.Addr, config))
	if err == nil || !strings.Contains(err.Error(), path+":1: not user:realm:algorithm:HA1") {
		t.Errorf("loading a broken file: %v", err)
	}
	until(bob, "200") // what was in force stays so
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := s.TryLoad(handlertest.Caddyfile(s.Addr, config)); err == nil || !strings.Contains(err.Error(), "reading the users file") {
		t.Errorf("loading without the file: %v", err)
	}
}

// TestREADME loads the README's example of a file, with what the command prints.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(readme), "\n```\ndigest_auth {\n")
	text, _, ok := strings.Cut(text, "\n```\n")
	if !ok {
		t.Fatal("the README shows no users_file")
	}
	path := filepath.Join(t.TempDir(), "users")
	replace(t, path, line("101", "example.com", digest.MD5, "x"))
	handlertest.Start(t, "digest_auth {\n"+strings.Replace(text, "/etc/caddysip/users", path, 1))
}
