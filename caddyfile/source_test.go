package caddyfile_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// TestSource loads configurations with errors that are only found at provision. Each error must
// name the server and the directive, and the line.
func TestSource(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"handler", ":5060 {\nrespond 404\ndigest_auth {\nusers_file /none\n}\n}",
			"server srv0: route 1: … provision sip.handlers.digest_auth: reading the users file: … /none: …, at " +
				"Caddyfile:5"},
		{"inside", ":5060 {\nhandle {\nroute {\n\nregister {\npath from {env.SIP_TEST_UNSET}\n}\n}\n}\n}",
			"server srv0: … provision sip.handlers.register: path from: … {env.SIP_TEST_UNSET} is empty, at " +
				"Caddyfile:7"},
		{"matcher", ":5060 {\n@a remote_ip {env.SIP_TEST_UNSET}\n\nrespond @a 404\n}",
			"server srv0: … provision sip.matchers.remote_ip: … is empty, at Caddyfile:6"},
		{"named", "&(a) {\nregister {\npath from {env.SIP_TEST_UNSET}\n}\n}\n:5060 {\ninvoke a\n}",
			"server srv0: named route a: … provision sip.handlers.register: path from: …, at Caddyfile:4"},
		{"named, loop", "&(a) {\ninvoke a\n}\n:5060 {\ninvoke a\n}",
			`server srv0: the named route "a" invokes itself, at Caddyfile:4`},
		{"errors", ":5060 {\nregister\nhandle_errors 404 {\nregister {\npath from {env.SIP_TEST_UNSET}\n}\n}\n}",
			"server srv0: error routes: … provision sip.handlers.register: path from: …, at Caddyfile:6"},
		{"server", "udp/:5060 {\n}\n\n:5061 {\ntrust {env.SIP_TEST_UNSET}\n}",
			"server srv1: trust: … is empty, at Caddyfile:6"},
		{"listeners", "udp/:5060 {\n}\n:5060 {\n}",
			"server srv1: udp/[::]:5060 overlaps with udp/[::]:5060 of server srv0; each address can be listened on " +
				"once, at Caddyfile:5"},
		{"storage", "storage bolt {env.SIP_TEST_UNSET}\n:5060 {\n}",
			"loading the storage: … provision sip.storage.bolt: path: … is empty, at Caddyfile:2"},
		{"profile", "keys {\nprofile a {\n}\nprofile b {\nmembers from /none\n}\n}\n:5060 {\n}",
			"keys: profile b: members: … /none: …, at Caddyfile:6"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			adapted, _, err := adapt("{\n\tsip {\n" + tc.text + "\n\t}\n}\n")
			if err != nil {
				t.Fatal(err)
			}
			config := new(caddy.Config)
			if err := json.Unmarshal(adapted, config); err != nil {
				t.Fatal(err)
			}
			config.Admin = &caddy.AdminConfig{Disabled: true}
			err = caddy.Validate(config)
			if err == nil {
				t.Fatal("there is no error")
			}
			rest := err.Error()
			for part := range strings.SplitSeq(tc.want, "…") {
				_, after, ok := strings.Cut(rest, part)
				if !ok {
					t.Fatalf("no %q in it:\n%v", part, err)
				}
				rest = after
			}
			if rest != "" {
				t.Errorf("behind it is %q:\n%v", rest, err)
			}
		})
	}
}
