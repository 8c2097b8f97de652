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

	_ "github.com/caddysip/caddysip/handler/digestauth"
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
		log := loadLogged(t, tc.address, tc.directives)
		if n := strings.Count(log, `"handlers":["register"],"listen":["udp/`+tc.address+`","tcp/`+tc.address+`"]`); n != tc.want {
			t.Errorf("%s at %s: %d warnings, want %d:\n%s", tc.directives, tc.address, n, tc.want, log)
		}
	}
}

// TestOrder loads a registrar that stands before what asks for passwords.
func TestOrder(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	const asks = "digest_auth {\nuser 101 correct-horse\n}\n"
	for directives, want := range map[string]string{
		asks + "register":                        "",
		"register\n" + asks:                      "register at route 0 comes before digest_auth at route 1: it asks nobody for a password",
		"route {\nregister\n}\n" + asks:          "register at route 0.0 comes before digest_auth at route 1: it asks nobody for a password",
		"invoke a\n&(a) {\nregister\n}\n" + asks: "register at named route a 0.0 comes before digest_auth at route 1: it asks nobody",
		"@snom user_agent snom*\n" + strings.Replace(asks, " ", " @snom ", 1) + "register": "digest_auth at route 0 is for some requests only: " +
			"any other REGISTER reaches register at route 1 without authentication",
		"@users not remote_ip 192.0.2.1\n" + strings.Replace(asks, " ", " @users ", 1) + "register": "",
	} {
		log := loadLogged(t, "127.0.0.1:5060", directives)
		got := strings.Contains(log, "asks nobody") || strings.Contains(log, "without authentication")
		if got != (want != "") || !strings.Contains(log, want) {
			t.Errorf("%s: want %q, got\n%s", directives, want, log)
		}
	}
}

// loadLogged returns what is logged when a server with those directives is loaded.
func loadLogged(t *testing.T, address, directives string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "log")
	text := fmt.Sprintf("{\n\tadmin off\n\tlog {\n\t\toutput file %s\n\t\tformat json\n\t}\n\tsip {\n\t\t%s {\n%s\n\t\t}\n\t}\n}\n", file, address, directives)
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
	return string(log)
}
