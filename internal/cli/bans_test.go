package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/internal/ban"
	"github.com/caddysip/caddysip/internal/inside"
)

// start runs a server whose admin API listens on an address, and returns its bans.
func start(t *testing.T, api string) *ban.List {
	t.Helper()
	addr := handlertest.FreeAddr(t)
	app := handlertest.StartCaddyfile(t, addr, config(api, addr.String())).App()
	return inside.AppOf(app).Engine.Bans
}

func config(api, addr string) string {
	return fmt.Sprintf("{\n\tadmin %s\n\tsip {\n\t\t%s {\n\t\t}\n\t}\n}\n", api, addr)
}

// run runs a command and returns what it prints.
// warnings are the lines that warn of users whom nobody knows, as most here are.
var warnings = regexp.MustCompile(`(?m)^(.*warning: nobody is known as .*|and \d+ more warnings)\n`)

// run runs a command and returns what it prints, without those.
func run(t *testing.T, cmd *cobra.Command, args ...string) (string, error) {
	t.Helper()
	out, err := runAll(t, cmd, args...)
	return warnings.ReplaceAllString(out, ""), err
}

func runAll(t *testing.T, cmd *cobra.Command, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func prints(t *testing.T, want string, cmd *cobra.Command, args ...string) {
	t.Helper()
	got, err := run(t, cmd, args...)
	if err != nil || got != want {
		t.Errorf("%s %q prints\n%s%v\nwant\n%s", cmd.Name(), args, got, err, want)
	}
}

func fails(t *testing.T, want string, cmd *cobra.Command, args ...string) {
	t.Helper()
	got, err := run(t, cmd, args...)
	if err == nil || !strings.Contains(err.Error(), want) || got != "" {
		t.Errorf("%s %q: %q, %v, want the error %q", cmd.Name(), args, got, err, want)
	}
}

func TestBans(t *testing.T) {
	api := handlertest.FreeAddr(t).String()
	list := start(t, api)
	at := "--address=" + api
	prints(t, "", bansCommand(), at)
	prints(t, "[]\n", bansCommand(), at, "--json")

	got, err := run(t, banCommand(), at, "192.0.2.1", "--for", "5m", "--reason", "too loud")
	e, ok := list.Get(netip.MustParsePrefix("192.0.2.1/32"))
	if !ok || e.Reason != "too loud" || e.Until.Sub(e.Since) != 5*time.Minute {
		t.Fatalf("banned are %v, %v", list.All(), err)
	}
	if want := "192.0.2.1 is banned until " + local(e.Until) + "\n"; got != want {
		t.Errorf("it prints %q, want %q", got, want)
	}
	if got, err = run(t, banCommand(), at, "2001:db8::1", "--json"); err != nil {
		t.Fatal(err)
	}
	var b banned
	if err := json.Unmarshal([]byte(got), &b); err != nil || b.Source != "2001:db8::/64" || b.Until.Sub(b.Since) != time.Hour {
		t.Errorf("%v in %s", err, got)
	}
	list.Set(netip.MustParsePrefix("198.51.100.0/24"), time.Hour, "a\x1b[31mb")
	want := "192.0.2.1        until " + local(e.Until) + "  too loud\n" +
		"198.51.100.0/24  until " + local(list.All()[1].Until) + "  \"a\\x1b[31mb\"\n" +
		"2001:db8::/64    until " + local(b.Until) + "  \n"
	prints(t, want, bansCommand(), at)
	prints(t, want, bansCommand(), at, "list")

	prints(t, "198.51.100.0/24 is not banned any more\n", unbanCommand(), at, "198.51.100.0/24")
	prints(t, "192.0.2.1 is not banned any more\n", unbanCommand(), at, "192.0.2.1")
	if list.Len() != 1 || list.Banned(netip.MustParseAddr("192.0.2.1")) {
		t.Errorf("banned are %v", list.All())
	}
	fails(t, "192.0.2.1 is not banned", unbanCommand(), at, "192.0.2.1")
	fails(t, "no IP address", banCommand(), at, "../stop")
	fails(t, "no time such as", banCommand(), at, "192.0.2.1", "--for", "long")
	fails(t, "accepts 1 arg", banCommand(), at)
	fails(t, `invalid argument "all"`, bansCommand(), at, "all")
	fails(t, "asking the admin API at 127.0.0.1:1", bansCommand(), "--address", "127.0.0.1:1")
	fails(t, "finding the admin API", bansCommand(), "--config", filepath.Join(t.TempDir(), "none"))
}

// TestManyBans lists more than one answer of the API has.
func TestManyBans(t *testing.T) {
	api := handlertest.FreeAddr(t).String()
	list := start(t, api)
	for i := range 2500 {
		list.Ban(netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}), time.Hour, "")
	}
	out, err := run(t, bansCommand(), "--address", api)
	if n := strings.Count(out, "\n"); err != nil || n != 2500 {
		t.Errorf("%d bans are listed, want 2500: %v", n, err)
	}
}

func TestAddress(t *testing.T) {
	dir, err := os.MkdirTemp("", "sip") // a socket's path is not long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	api := "unix/" + filepath.Join(dir, "admin")
	start(t, api)
	prints(t, "[]\n", bansCommand(), "--json", "--address", api)
	file := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(file, []byte(config(api, "udp/127.0.0.1:5060")), 0o600); err != nil {
		t.Fatal(err)
	}
	prints(t, "[]\n", bansCommand(), "--json", "--config", file)
}
