package simtest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/internal/budget"
	"github.com/caddysip/caddysip/internal/engine"
	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/internal/snomkeys/delivery"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/test/simnet"
)

// Server is a server on a simulated host.
type Server struct {
	Host *simnet.Host
	Disk *Disk          // what its storage file is on
	Addr netip.AddrPort // where it listens, of the host's first address

	t    testing.TB
	text string
	port *port // nil: it does not run
}

// Start runs a server with the directives of a server block on port 5060 of all of a host's
// addresses, until the test ends. It keeps registrations and keys in a file.
func Start(t testing.TB, host *simnet.Host, directives string) *Server {
	t.Helper()
	return StartCaddyfile(t, host, Caddyfile(host, "", directives))
}

// Caddyfile returns a Caddyfile with options of the app and the directives of one server, on port
// 5060 of all of a host's addresses.
func Caddyfile(host *simnet.Host, options, directives string) string {
	var listen []string
	for _, a := range host.Addrs() {
		listen = append(listen, netip.AddrPortFrom(a, module.DefaultPort).String())
	}
	return "{\n\tsip {\n" + options + "\n\t\t" + strings.Join(listen, " ") + " {\n" + directives + "\n\t\t}\n\t}\n}\n"
}

// StartCaddyfile runs a complete Caddyfile with a server on port 5060 of the host's first address.
// It opens no admin endpoint: use Admin.
func StartCaddyfile(t testing.TB, host *simnet.Host, text string) *Server {
	t.Helper()
	quiet()
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	s := &Server{Host: host, Addr: netip.AddrPortFrom(host.Addr(), module.DefaultPort), t: t}
	s.Disk = newDisk(filepath.Join(caddy.AppDataDir(), "sip", "sip.db"), host.Net().Seeded("disk"))
	jitter, chance := delivery.Jitter, host.Net().Seeded("jitter")
	delivery.Jitter = func(d time.Duration) time.Duration { return time.Duration(chance.Int64N(int64(d))) } // one goroutine's
	t.Cleanup(func() {
		defer func() { delivery.Jitter = jitter }()
		s.Disk.Heal()
		s.Stop()
		s.Disk.remove()
	})
	s.text = text
	if err := s.Run(); err != nil {
		t.Fatalf("starting: %v\n%s", err, text)
	}
	return s
}

// Quiet is StartCaddyfile without logging, for tests that provoke errors.
func Quiet(t testing.TB, host *simnet.Host, text string) *Server {
	t.Helper()
	return StartCaddyfile(t, host, strings.Replace(text, "{", "{\n\tlog {\n\t\toutput discard\n\t}", 1))
}

// Run restarts the server after Stop or Kill, with the same configuration.
func (s *Server) Run() error {
	s.port = &port{Host: s.Host}
	engine.Network = s.port
	err := s.Load(s.text)
	if err != nil {
		s.port = nil
	}
	return err
}

// Running reports whether the server runs.
func (s *Server) Running() bool { return s.port != nil }

// Load loads another Caddyfile, which may be refused.
func (s *Server) Load(text string) error {
	s.t.Helper()
	var config map[string]any
	if err := json.Unmarshal(handlertest.Adapt(s.t, text), &config); err != nil {
		s.t.Fatal(err)
	}
	config["admin"] = map[string]any{"disabled": true, "config": map[string]any{"persist": false}}
	adapted, err := json.Marshal(config)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := caddy.Load(adapted, true); err != nil {
		return err
	}
	s.text = text
	return nil
}

// Reload loads the configuration that is in force again.
func (s *Server) Reload() error { return s.Load(s.text) }

// Stop stops the server gracefully. Everything is in its file then.
func (s *Server) Stop() {
	s.t.Helper()
	if s.port == nil {
		return
	}
	s.port = nil
	if err := caddy.Stop(); err != nil {
		s.t.Errorf("stopping: %v", err)
	}
	engine.Network = nil
}

// Kill ends the server as a power cut does: its sockets vanish, it neither sends nor writes any
// more, and of the writes that were not synced its file has what the disk has kept.
func (s *Server) Kill() {
	s.t.Helper()
	if s.port == nil {
		return
	}
	s.port.dead.Store(true)
	s.Host.Crash()
	s.Disk.cut()
	s.Stop() // its goroutines end; nobody hears of it
	s.Disk.restore()
}

// App returns the app in force.
func (s *Server) App() *module.App {
	s.t.Helper()
	app, err := caddy.ActiveContext().AppIfConfigured("sip")
	if err != nil {
		s.t.Fatal(err)
	}
	return app.(*module.App)
}

// Engine returns the server's engine: its transactions, registrations, keys and budget.
func (s *Server) Engine() *engine.Engine { return inside.AppOf(s.App()).Engine }

// Held returns how many bytes of state the server holds, not counting the latest events, which it
// always keeps.
func (s *Server) Held() int64 {
	b := s.Engine().Budget
	return b.Total() - b.Used(budget.Events)
}

// Admin sends a request to the admin API.
func (s *Server) Admin(method, path, body string) (status int, answer string) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, path, io.NopCloser(strings.NewReader(body)))
	adminAPI.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// adminAPI serves the app's part of Caddy's admin endpoint.
var adminAPI = func() *http.ServeMux {
	info, err := caddy.GetModule("admin.api.sip")
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	for _, route := range info.New().(caddy.AdminRouter).Routes() {
		mux.HandleFunc(route.Pattern, func(w http.ResponseWriter, r *http.Request) {
			err := route.Handler.ServeHTTP(w, r)
			if err == nil {
				return
			}
			var refused caddy.APIError
			if !errors.As(err, &refused) {
				refused = caddy.APIError{HTTPStatus: http.StatusInternalServerError, Err: err}
			}
			http.Error(w, err.Error(), refused.HTTPStatus)
		})
	}
	return mux
}()

// port is a host's network until the server is killed.
type port struct {
	*simnet.Host
	dead atomic.Bool
}

func (p *port) ListenPacket(addr netip.AddrPort) (transport.PacketConn, error) {
	if p.dead.Load() {
		return nil, net.ErrClosed
	}
	return p.Host.ListenPacket(addr)
}

func (p *port) Listen(addr netip.AddrPort) (net.Listener, error) {
	if p.dead.Load() {
		return nil, net.ErrClosed
	}
	return p.Host.Listen(addr)
}

func (p *port) Dial(ctx context.Context, remote netip.AddrPort) (net.Conn, error) {
	if p.dead.Load() {
		return nil, net.ErrClosed
	}
	return p.Host.Dial(ctx, remote)
}

// quiet initialises what the process shares and must not start in a bubble, with which it would
// end.
func quiet() {
	net.DefaultResolver.PreferGo = true
	net.DefaultResolver.Dial = func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("there is no DNS in a simulation")
	}
}
