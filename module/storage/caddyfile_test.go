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
		{"bolt {\npath\n}", "", "path of bolt needs a value"},
		{"bolt {\npath a b\n}", "", "path of bolt takes one value"},
		{"bolt a {\npath b\n}", "", "path of bolt is given already"},
		{"bolt {\npath a\npath b\n}", "", "given twice"},
		{"bolt {\nfile a\n}", "", "unrecognized option 'file' of bolt"},
		{"memory", `{}`, ""},
		{"memory a", "", "memory takes no more: found 'a'"},
		{"memory {\npath a\n}", "", "memory has no block"},
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
