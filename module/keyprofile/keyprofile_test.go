package keyprofile_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/module/keyprofile"
)

func Example() {
	var c keyprofile.Config
	err := json.Unmarshal([]byte(`{
		"profiles": [{
			"name": "reception",
			"users": ["1*"],
			"keys": [{"key": 1, "light": "on", "color": "yellow"}]
		}]
	}`), &c)
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println(c.Validate())
	// Output: profile reception: key 1: color: must be one of red green orange local remote
}

func TestValidate(t *testing.T) {
	for config, want := range map[string]string{
		`{}`: "",
		`{"profiles": [{"name": "x"}, {"name": "y", "models": ["370", "D785"], "keys": [{"key": 1}, {"key": 999}]}]}`: "",
		`{"models": [{"name": "D999", "keys": 999, "colors": ["red", "green", "orange"]}]}`:                           "",
		`{"credentials": {"username": "server", "password": "secret"}}`:                                               "",
		`{"credentials": {"realm": "phone", "password": "x-{user}"}}`:                                                 "",
		`{"rate": -1}`:          "rate -1: it must not be negative",
		`{"phones": ["x", ""]}`: "phones: an empty glob matches nobody",
		`{"profiles": [{"name": "x", "user_agents": [""]}]}`:                    "profile x: an empty glob matches nobody",
		`{"profiles": [{"name": "x"}, {"name": "x"}]}`:                          "profile x is there twice",
		`{"profiles": [{"name": "x", "models": ["snom370"]}]}`:                  `profile x: model "snom370": write it as the phone does`,
		`{"profiles": [{"name": "x", "keys": [{"key": 1000}]}]}`:                "profile x: key 1000: key: must be 1 to 999",
		`{"profiles": [{"name": "x", "keys": [{"key": 1}, {"key": 1}]}]}`:       "profile x: key 1 is there twice",
		`{"models": [{"name": "", "keys": 1}]}`:                                 `model : "": write it as the phone does`,
		`{"models": [{"name": "D999", "keys": 1000}]}`:                          "model D999: keys must be 1 to 999, not 1000",
		`{"models": [{"name": "D9", "keys": 1, "colors": ["local"]}]}`:          `model D9: colors must be of red, green, orange, not "local"`,
		`{"models": [{"name": "785", "keys": 1}, {"name": "d785", "keys": 1}]}`: "model d785 is there twice",
		`{"credentials": {"password": "secret"}}`:                               "credentials need a username and a password",
		`{"credentials": {"username": "server"}}`:                               "credentials need a username and a password",
		`{"credentials": {"realm": "phone", "password": "secret"}}`:             "the password of credentials needs {user} in it",
	} {
		var c keyprofile.Config
		if err := json.Unmarshal([]byte(config), &c); err != nil {
			t.Fatal(err)
		}
		if err := c.Validate(); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: the error is %v, want %s", config, err, want)
		}
	}
}

func TestReplaceCredentials(t *testing.T) {
	repl := caddy.NewEmptyReplacer()
	repl.Set("secret", "s3")
	repl.Set("realm", "phones")
	repl.Set("nothing", "")
	type credentials = keyprofile.Credentials
	for _, tc := range []struct {
		given, want credentials
		err         string
	}{
		{credentials{Realm: "{realm}", Password: "{secret}-{user}"}, credentials{"phones", "{user}", "s3-{user}"}, ""},
		{credentials{Username: "server", Password: "{secret}"}, credentials{"", "server", "s3"}, ""},
		{credentials{Username: "{nothing}", Password: "x"}, credentials{}, "a username and a password"},
		{credentials{Username: "server", Password: "{nothing}"}, credentials{}, "a username and a password"},
		{credentials{Realm: "{nothing}", Password: "x-{user}"}, credentials{}, "a realm, and a secret"},
		{credentials{Realm: "phones", Password: "{nothing}{user}"}, credentials{}, "a realm, and a secret"},
	} {
		got, err := tc.given.Replace(repl)
		switch {
		case tc.err == "" && (err != nil || got != tc.want):
			t.Errorf("%+v: %+v, %v, want %+v", tc.given, got, err, tc.want)
		case tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)):
			t.Errorf("%+v: the error is %v, want %s", tc.given, err, tc.err)
		}
	}
}

func TestParseMembers(t *testing.T) {
	long := strings.Repeat("x", 1024)
	members, err := keyprofile.ParseMembers([]byte("# all\n301\r\n\n\t302@Example.COM # at night\nUser\n" + long))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"301", "302@example.com", "User", long}
	if got := slices.Sorted(maps.Keys(members)); !slices.Equal(got, want) {
		t.Errorf("the members are %q", got)
	}
	for text, want := range map[string]string{
		"301 302":             "line 1: one user a line",
		"301\nJ\xfcrgen":      "line 2, column 2 is not UTF-8",
		"301\n302,303":        "line 2: one user a line",
		"301;":                "line 1: one user a line",
		"3\x000":              "line 1: one user a line",
		"1\n2\n" + long + "x": "line 3: a name of more than 1024 bytes",
	} {
		if got, err := keyprofile.ParseMembers([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q is read as %v, %v, want %s", text, got, err, want)
		}
	}
}
