package storage

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func TestCaddyfile(t *testing.T) {
	for _, test := range []struct{ input, want, err string }{
		{"bolt", `{}`, ""},
		{"bolt /var/lib/sip.db", `{"path":"/var/lib/sip.db"}`, ""},
		{"bolt {\npath /var/lib/sip.db\n}", `{"path":"/var/lib/sip.db"}`, ""},
		{"bolt a b", "", "argument"},
		{"bolt {\npath\n}", "", "argument"},
		{"bolt {\npath a b\n}", "", "argument"},
		{"bolt a {\npath b\n}", "", "given already"},
		{"bolt {\npath a\npath b\n}", "", "given already"},
		{"bolt {\nfile a\n}", "", `unrecognized option "file"`},
		{"memory", `{}`, ""},
		{"memory a", "", "argument"},
		{"memory {\npath a\n}", "", `unrecognized option "path"`},
	} {
		var u caddyfile.Unmarshaler = new(Bolt)
		if strings.HasPrefix(test.input, "memory") {
			u = new(Memory)
		}
		err := u.UnmarshalCaddyfile(caddyfile.NewTestDispenser(test.input))
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%s: error %v, want %q", test.input, err, test.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.input, err)
			continue
		}
		if got, err := json.Marshal(u); err != nil || string(got) != test.want {
			t.Errorf("%s: %s, %v, want %s", test.input, got, err, test.want)
		}
	}
}
