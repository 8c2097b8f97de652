// Package handlertest runs a whole server for tests: a configuration goes in, real sockets come out.
package handlertest

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	_ "github.com/caddyserver/caddy/v2/modules/filestorage" // where the server keeps what it stores
	_ "github.com/caddysip/caddysip/caddyfile"              // the sip option
)

// Server is a running server. There is one a process: tests that start one don't run in parallel.
type Server struct {
	// Addr is where it listens, for UDP and TCP.
	Addr netip.AddrPort

	t testing.TB
}

// Start runs a server with the directives of a server block, on a free port of 127.0.0.1, until the test ends. {addr} in the text stands for
// the address.
func Start(t testing.TB, directives string) *Server {
	t.Helper()
	addr := FreeAddr(t)
	return StartCaddyfile(t, addr, "{\n\tadmin off\n\tsip {\n\t\t"+addr.String()+" {\n"+strings.ReplaceAll(directives, "{addr}", addr.String())+"\n\t\t}\n\t}\n}\n")
}

// StartCaddyfile runs a whole Caddyfile that has a server at addr.
func StartCaddyfile(t testing.TB, addr netip.AddrPort, text string) *Server {
	t.Helper()
	s := &Server{Addr: addr, t: t}
	t.Setenv("XDG_DATA_HOME", dataDir)
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
	if err := caddy.Load(Adapt(s.t, text), true); err != nil {
		s.t.Fatalf("loading the configuration: %v\n%s", err, text)
	}
}

// Adapt returns a Caddyfile's JSON, set up so that nothing is written to the home directory.
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
	config["logging"] = map[string]any{"logs": map[string]any{"default": map[string]any{"level": "ERROR"}}}
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
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := netip.MustParseAddrPort(l.Addr().String())
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
