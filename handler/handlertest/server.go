package handlertest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	_ "github.com/caddyserver/caddy/v2/modules/filestorage" // where the server keeps what it stores
	_ "github.com/caddysip/caddysip/caddyfile"              // the sip option
	"github.com/caddysip/caddysip/module"
)

// Server is a running server. There is one a process: tests that start one don't run in parallel.
type Server struct {
	// Addr is where it listens, for UDP and TCP.
	Addr netip.AddrPort

	t    testing.TB
	text string // the configuration in force
}

// Start runs a server with the directives of a server block, on a free port of 127.0.0.1, until the
// test ends. {addr} in the text stands for the address.
func Start(t testing.TB, directives string) *Server {
	t.Helper()
	return StartOn(t, FreeAddr(t), directives)
}

// StartOn is Start at an address of FreeAddrOf.
func StartOn(t testing.TB, addr netip.AddrPort, directives string) *Server {
	t.Helper()
	return StartCaddyfile(t, addr, Caddyfile(addr, directives))
}

// Caddyfile returns the Caddyfile of a server with those directives, as Start runs it.
func Caddyfile(addr netip.AddrPort, directives string) string {
	return "{\n\tadmin off\n\tsip {\n\t\t" + addr.String() + " {\n" + strings.ReplaceAll(directives, "{addr}", addr.String()) + "\n\t\t}\n\t}\n}\n"
}

// StartCaddyfile runs a whole Caddyfile that has a server at addr.
func StartCaddyfile(t testing.TB, addr netip.AddrPort, text string) *Server {
	t.Helper()
	s := &Server{Addr: addr, t: t}
	t.Setenv("XDG_DATA_HOME", t.TempDir()) // registrations survive a stop, but not the test
	t.Setenv("XDG_CONFIG_HOME", dataDir)
	s.Load(text)
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Errorf("stopping the server: %v", err)
		}
	})
	return s
}

// dataDir keeps what the server stores out of the home directory, for all tests of a process.
var dataDir = func() string {
	dir, err := os.MkdirTemp("", "caddysip-test-")
	if err != nil {
		panic(err)
	}
	return dir
}()

// Load puts another Caddyfile in force.
func (s *Server) Load(text string) {
	s.t.Helper()
	s.text = text
	if err := s.TryLoad(text); err != nil {
		s.t.Fatalf("loading the configuration: %v\n%s", err, text)
	}
}

// TryLoad is Load for a Caddyfile that may be refused.
func (s *Server) TryLoad(text string) error {
	s.t.Helper()
	return caddy.Load(Adapt(s.t, text), true)
}

// App returns the SIP app in force.
func (s *Server) App() *module.App {
	s.t.Helper()
	app, err := caddy.ActiveContext().AppIfConfigured("sip")
	if err != nil {
		s.t.Fatal(err)
	}
	return app.(*module.App)
}

// Metric returns the value of a counter or gauge, 0 when it isn't there. Labels are written
// name=value; those not given may be any, and the values of all that fit are added up. Counters
// live as long as the process, so look at differences.
func (s *Server) Metric(name string, labels ...string) float64 {
	s.t.Helper()
	ctx := caddy.ActiveContext()
	families, err := ctx.GetMetricsRegistry().Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			found := 0
			for _, l := range m.GetLabel() {
				if slices.Contains(labels, l.GetName()+"="+l.GetValue()) {
					found++
				}
			}
			if found == len(labels) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// Restart stops the server and starts it again: what it does not store is gone.
func (s *Server) Restart() {
	s.t.Helper()
	if err := caddy.Stop(); err != nil {
		s.t.Fatalf("stopping the server: %v", err)
	}
	s.Load(s.text)
}

// Adapt returns a Caddyfile's JSON, set up so that nothing is written to the home directory.
// Without logs of its own it logs only errors.
func Adapt(t testing.TB, text string) []byte {
	t.Helper()
	adapted, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatalf("adapting: %v\n%s", err, text)
	}
	for _, w := range warnings {
		if !strings.Contains(w.Message, "not formatted") {
			t.Errorf("adapting: %s", w)
		}
	}
	var config map[string]any
	if err := json.Unmarshal(adapted, &config); err != nil {
		t.Fatal(err)
	}
	config["storage"] = map[string]any{"module": "file_system", "root": dataDir}
	if config["logging"] == nil {
		config["logging"] = map[string]any{"logs": map[string]any{"default": map[string]any{"level": "ERROR"}}}
	}
	if admin, ok := config["admin"].(map[string]any); ok {
		admin["config"] = map[string]any{"persist": false}
	}
	out, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// FreeAddr returns an address of 127.0.0.1 whose port is free for UDP and TCP.
func FreeAddr(t testing.TB) netip.AddrPort {
	t.Helper()
	return FreeAddrOf(t, "127.0.0.1")
}

// FreeAddrOf is FreeAddr for another of the machine's addresses.
func FreeAddrOf(t testing.TB, host string) netip.AddrPort {
	t.Helper()
	for range 100 {
		// Below the ports that the system gives to whoever asks for any: another test's client could
		// have this one otherwise by the time that the server wants it.
		addr := netip.AddrPortFrom(netip.MustParseAddr(host), uint16(10240+rand.IntN(32768-10240)))
		l, err := net.Listen("tcp", addr.String())
		if err != nil {
			continue
		}
		c, err := net.ListenPacket("udp", addr.String())
		l.Close()
		if err == nil {
			c.Close()
			return addr
		}
	}
	t.Fatal("no port is free for both UDP and TCP")
	return netip.AddrPort{}
}

// URI returns the URI of a user of the server.
func (s *Server) URI(user string) string { return fmt.Sprintf("sip:%s@%s", user, s.Addr) }
