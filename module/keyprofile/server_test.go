package keyprofile_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/handler/handlertest"
	_ "github.com/caddysip/caddysip/handler/respond"
	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/snomkeys/keys"
)

// labels returns what the keys of a user's phone should show.
func labels(s *handlertest.Server, user, agent string) map[int]string {
	got := make(map[int]string)
	for _, k := range inside.AppOf(s.App()).Engine.Keys.Effective(user+"@example.com", keys.PhoneOf(agent)) {
		got[k.Key] = k.Label
	}
	return got
}

// eventually waits until a user's keys show something.
func eventually(t *testing.T, s *handlertest.Server, user string, want map[int]string) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !maps.Equal(labels(s, user, ""), want) {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s shows %v, want %v", user, labels(s, user, ""), want)
		}
	}
}

func TestKeyProfiles(t *testing.T) {
	members := filepath.Join(t.TempDir(), "members.txt")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(members+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(members+".new", members); err != nil {
			t.Fatal(err)
		}
	}
	write("# the warehouse\n301\n\n302@Example.com # at night\n")
	addr := handlertest.FreeAddr(t)
	config := func(label string) string {
		t.Setenv("MEMBERS", members)
		return fmt.Sprintf(`{
	admin off
	sip {
		domain example.com
		keys {
			profile reception {
				users 1*
				key 1 {
					label %s
				}
			}
			profile warehouse {
				members from {env.MEMBERS}
				key 1 {
					label gate
				}
			}
			profile large {
				model D785
				key 20 {
					label more
				}
			}
		}
		%s {
			respond 404
		}
	}
}
`, label, addr)
	}
	s := handlertest.StartCaddyfile(t, addr, config("desk"))
	for _, tc := range []struct {
		user, agent string
		want        map[int]string
	}{
		{"101", "", map[int]string{1: "desk"}},
		{"101", "snom785/10.1.33.33", map[int]string{1: "desk", 20: "more"}},
		{"301", "snom370/8.7.5.48", map[int]string{1: "gate"}},
		{"302", "", map[int]string{1: "gate"}},
		{"303", "", nil},
	} {
		if got := labels(s, tc.user, tc.agent); !maps.Equal(got, tc.want) {
			t.Errorf("%s with %q shows %v, want %v", tc.user, tc.agent, got, tc.want)
		}
	}

	// The file is followed, also by a configuration that came later, and what is wrong with it changes nothing.
	write("303\n")
	eventually(t, s, "303", map[int]string{1: "gate"})
	eventually(t, s, "301", nil)
	s.Load(config("counter"))
	eventually(t, s, "101", map[int]string{1: "counter"})
	// Written in place, it is empty for a while: nobody loses his keys for that.
	if err := os.Truncate(members, 0); err != nil {
		t.Fatal(err)
	}
	s.Load(config("empty")) // which takes it as it is
	eventually(t, s, "303", nil)
	write("303\n")
	eventually(t, s, "303", map[int]string{1: "gate"})
	if err := os.Truncate(members, 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, s, "101", map[int]string{1: "empty"})
	if got := labels(s, "303", ""); got[1] != "gate" {
		t.Errorf("303 shows %v", got)
	}
	s.Load(config("counter"))
	write("303\n301, 302\n")
	write("304\n303\n")
	eventually(t, s, "304", map[int]string{1: "gate"})
	if got := labels(s, "101", ""); got[1] != "counter" {
		t.Errorf("101 shows %v", got)
	}
}

func TestKeysRefused(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.txt")
	if err := os.WriteFile(bad, []byte("301\n302 303\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ keys, want string }{
		{`{"profiles": [{"name": "x", "keys": [{"key": 1, "light": "blue"}]}]}`, "keys: profile x: key 1: light: must be one of on"},
		{`{"profiles": [{"name": "x", "keys": [{"key": 1}, {"key": 1}]}]}`, "keys: profile x: key 1 is there twice"},
		{`{"profiles": [{"name": "x"}, {"name": "x"}]}`, "keys: profile x is there twice"},
		{`{"profiles": [{"users": ["1*"]}]}`, "keys: profile : it needs a name"},
		{`{"profiles": [{"name": "x", "users": [""]}]}`, "an empty glob matches nobody"},
		{`{"profiles": [{"name": "x", "models": ["D 785"]}]}`, `model "D 785": write it as the phone does`},
		{`{"profiles": [{"name": "x", "members_file": "` + filepath.Join(dir, "none.txt") + `"}]}`, "keys: profile x: members: stat " + filepath.Join(dir, "none.txt")},
		{`{"profiles": [{"name": "x", "members_file": "` + bad + `"}]}`, "keys: profile x: members: " + bad + ": line 2: one user a line"},
		{`{"profiles": [{"name": "x", "members_file": "{env.NO_SUCH_THING}"}]}`, "keys: profile x: members: "},
		{`{"models": [{"name": "D999"}]}`, "keys: model D999: keys must be 1 to 999, not 0"},
		{`{"credentials": {"username": "server"}}`, "keys: credentials need a username and a password"},
		{`{"credentials": {"username": "server", "password": "{env.NO_SUCH_THING}"}}`, "keys: credentials need a username and a password: their placeholders are empty"},
		{`{"phones": ["a*", ""]}`, "keys: phones: an empty glob matches nobody"},
		{`{"rate": -1}`, "keys: rate -1: it must not be negative"},
	} {
		t.Run(tc.keys, func(t *testing.T) {
			var config caddy.Config
			text := `{"admin": {"disabled": true}, "apps": {"sip": {"storage": {"module": "memory"}, "keys": ` + tc.keys + `}}}`
			if err := json.Unmarshal([]byte(text), &config); err != nil {
				t.Fatal(err)
			}
			if err := caddy.Validate(&config); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got the error %v, want %s", err, tc.want)
			}
		})
	}
}

// TestUsers checks that users and members can be written as in the API, with or without domain and
// scheme.
func TestUsers(t *testing.T) {
	members := filepath.Join(t.TempDir(), "members.txt")
	for _, tc := range []struct {
		users, members string
		want           bool
	}{
		{users: "101", want: true},
		{users: "101@example.com", want: true},
		{users: "101@EXAMPLE.com", want: true},
		{users: "sip:101@example.com", want: true},
		{users: "sips:1*@example.com", want: true},
		{users: "sip:1*", want: true},
		{users: "1*@127.0.0.1", want: true}, // an address of the server's is its domain
		{users: "*@example.com", want: true},
		{users: "101@*.example"},
		{users: "101@example.net"},
		{users: "102@example.com"},
		{users: "101@example.*", want: true},
		{members: "101@example.com", want: true},
		{members: "sip:101@Example.com", want: true},
		{members: "101@127.0.0.1", want: true},
		{members: "sip:101", want: true},
		{members: "101@example.net"},
	} {
		t.Run(tc.users+tc.members, func(t *testing.T) {
			from := "users " + tc.users
			if tc.users == "" {
				from = "members from " + members
				if err := os.WriteFile(members, []byte(tc.members+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			addr := handlertest.FreeAddr(t)
			s := handlertest.StartCaddyfile(t, addr,
				"{\n\tadmin off\n\tsip {\n\t\tdomain example.com\n\t\tkeys {\n\t\t\tprofile a {\n\t\t\t\t"+from+
					"\n\t\t\t\tkey 1 {\n\t\t\t\t\tlabel x\n\t\t\t\t}\n\t\t\t}\n\t\t}\n\t\t"+
					addr.String()+" {\n\t\t\trespond 404\n\t\t}\n\t}\n}\n")
			if got := len(labels(s, "101", "")) == 1; got != tc.want {
				t.Errorf("101 has the key: %v", got)
			}
		})
	}
}
