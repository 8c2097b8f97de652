package caddyfile_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/logging" // logs to files
)

// TestUnasked reads servers whose handlers are reached by requests that digest_auth has not seen.
func TestUnasked(t *testing.T) {
	for _, tc := range []struct {
		name, directives string
		want             []string // level and message
	}{
		{"asked", "digest_auth\nregister\nproxy", nil},
		{"nobody asks", "register\nproxy", nil},
		{"before", "register\ndigest_auth\nproxy",
			[]string{"warn register at Caddyfile:4 comes before digest_auth at Caddyfile:5: it asks nobody for a password"}},
		{"inside, before", "route {\nregister\n}\nhandle {\ndigest_auth\nproxy\n}",
			[]string{"warn register at Caddyfile:5 comes before digest_auth at Caddyfile:8: it asks nobody for a password"}},
		{"another handle", "@r method REGISTER\nhandle @r {\nregister\n}\nhandle {\ndigest_auth\nproxy\n}",
			[]string{"warn register at Caddyfile:6 comes before digest_auth at Caddyfile:9: it asks nobody for a password"}},
		{"guests", "@g to_user 9*\nregister @g\ndigest_auth\nregister",
			[]string{"info register at Caddyfile:5 comes before digest_auth at Caddyfile:6: it asks nobody for a password"}},
		{"proxy before", "proxy sip:192.0.2.1\ndigest_auth\nregister",
			[]string{"info proxy at Caddyfile:4 comes before digest_auth at Caddyfile:5: it asks nobody for a password"}},
		{"incoming calls", "@in uri_host example.com\nproxy @in\ndigest_auth\nregister\nproxy sip:192.0.2.1", nil},
		{"a name that anybody can send", "@p user_agent snom*\ndigest_auth @p\nregister",
			[]string{"warn digest_auth at Caddyfile:5 is for some requests only: any other REGISTER reaches register at Caddyfile:6 without authentication"}},
		{"then everybody else", "@p user_agent snom*\ndigest_auth @p\ndigest_auth\nregister", nil},
		{"only registrations", "@r method REGISTER SUBSCRIBE\ndigest_auth @r\nregister\nproxy",
			[]string{"info digest_auth at Caddyfile:5 is for some requests only: any other INVITE reaches proxy at Caddyfile:7 without authentication"}},
		{"only calls", "@i method INVITE\ndigest_auth @i\nregister\nproxy",
			[]string{"warn digest_auth at Caddyfile:5 is for some requests only: any other REGISTER reaches register at Caddyfile:6 without authentication"}},
		{"a tag that anybody can send", "@n not in_dialog\ndigest_auth @n\nregister",
			[]string{"warn digest_auth at Caddyfile:5 is for some requests only: any other REGISTER reaches register at Caddyfile:6 without authentication"}},
		{"a trunk", "@users not remote_ip 192.0.2.10\ndigest_auth @users\nregister\nproxy", nil},
		{"registrations but from the office", "@users {\nmethod REGISTER\nnot remote_ip 192.0.2.0/24\n}\ndigest_auth @users\nregister", nil},
		{"the office before", "@lan remote_ip private_ranges\nhandle @lan {\nregister\nproxy\n}\ndigest_auth\nregister\nproxy", nil},
		{"two halves", "@a from_host a.example\n@b not from_host a.example\ndigest_auth @a\ndigest_auth @b\nregister", nil},
		{"two handles", "@a from_host a.example\nhandle @a {\ndigest_auth\n}\nhandle {\ndigest_auth\n}\nregister", nil},
		{"one handle of two", "@a from_host a.example\nhandle @a {\ndigest_auth\n}\nhandle {\nlog_append a b\n}\nregister",
			[]string{"warn digest_auth at Caddyfile:6 is for some requests only: any other REGISTER reaches register at Caddyfile:11 without authentication"}},
		{"the same requests", "@a from_host a.example\nroute @a {\ndigest_auth\n}\nregister @a", nil},
		{"in the same route", "@a from_host a.example\nroute @a {\ndigest_auth\nregister\n}", nil},
		{"never", "@i method INVITE\nregister @i\ndigest_auth", nil},
		{"the others", "@r method REGISTER\nhandle @r {\nlog_append a b\n}\nhandle {\nregister\n}\ndigest_auth", nil},
		{"named", "invoke who\nregister\n&(who) {\ndigest_auth\n}", nil},
		{"named, before", "invoke who\n&(who) {\nregister\n}\ndigest_auth",
			[]string{"warn register at Caddyfile:6 comes before digest_auth at Caddyfile:8: it asks nobody for a password"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			file := logTo(t)
			text := "{\n\tsip {\n\t\t:5060 {\n" + tc.directives + "\n\t\t}\n\t}\n}\n"
			if _, _, err := adapt(text); err != nil {
				t.Fatal(err)
			}
			if got := logged(t, file); !slices.Equal(got, tc.want) {
				t.Errorf("logged\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
		})
	}
}

// logTo has Caddy log to a file.
func logTo(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "log")
	var config caddy.Config
	text := fmt.Sprintf(`{"admin": {"disabled": true}, "logging": {"logs": {"default": {
		"writer": {"output": "file", "filename": %q}, "encoder": {"format": "json"}}}}}`, file)
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(&config); err != nil {
		t.Fatal(err)
	}
	return file
}

// logged returns level and message of what the Caddyfile's adapter has logged.
func logged(t *testing.T, file string) (lines []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var entry struct{ Level, Logger, Msg string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatal(err)
		}
		if entry.Logger == "caddyfile" {
			lines = append(lines, entry.Level+" "+entry.Msg)
		}
	}
	return lines
}
