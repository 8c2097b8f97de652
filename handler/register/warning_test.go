package register

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/logging" // logs to files

	"github.com/caddysip/caddysip/handler/handlertest"
)

// TestWarning loads a registrar without authentication.
func TestWarning(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	for _, tc := range []struct {
		address, directives string
		want                int
	}{
		{"192.0.2.10:5060", "register", 1},
		{"192.0.2.10:5060", "handle {\n register\n}\nregister", 1},
		{"192.0.2.10:5060", "respond 404", 0},
		{"127.0.0.1:5060", "register", 0},
		{"10.0.0.1:5060", "register", 0},
	} {
		file := filepath.Join(t.TempDir(), "log")
		text := fmt.Sprintf("{\n\tadmin off\n\tlog {\n\t\toutput file %s\n\t\tformat json\n\t}\n\tsip {\n\t\t%s {\n%s\n\t\t}\n\t}\n}\n", file, tc.address, tc.directives)
		var config caddy.Config
		if err := json.Unmarshal(handlertest.Adapt(t, text), &config); err != nil {
			t.Fatal(err)
		}
		if err := caddy.Validate(&config); err != nil {
			t.Fatal(err)
		}
		log, err := os.ReadFile(file)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if n := strings.Count(string(log), `"handlers":["register"],"listen":["udp/`+tc.address+`","tcp/`+tc.address+`"]`); n != tc.want {
			t.Errorf("%s at %s: %d warnings, want %d:\n%s", tc.directives, tc.address, n, tc.want, log)
		}
	}
}
