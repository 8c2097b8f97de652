package moduletest

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/module"
)

// Invite is an INVITE of a Snom phone. Its lines end in LF; Request makes CRLF of that.
const Invite = `INVITE sip:431@example.com SIP/2.0
Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK1;rport
Max-Forwards: 70
From: "Alice" <sip:alice@Example.com>;tag=f1
To: <sip:431@example.com>
Call-ID: call1@192.0.2.7
CSeq: 1 INVITE
Contact: <sip:alice@192.0.2.7:5060;line=x>
User-Agent: snomD785/10.1.159.12
Content-Length: 0

`

// Option changes how a request came.
type Option func(*config)

type config struct {
	source netip.AddrPort
	server *module.Server
}

// From is the address the packet came from. Default: 192.0.2.7:5060.
func From(addr string) Option {
	return func(o *config) { o.source = netip.MustParseAddrPort(addr) }
}

// To is the server that takes the request. Default: none.
func To(s *module.Server) Option {
	return func(o *config) { o.server = s }
}

// Request makes a request of a message.
func Request(t testing.TB, raw string, options ...Option) *module.Request {
	t.Helper()
	o := config{source: netip.MustParseAddrPort("192.0.2.7:5060")}
	for _, set := range options {
		set(&o)
	}
	local := netip.MustParseAddrPort("192.0.2.10:5060")
	r, err := module.NewRequest([]byte(strings.ReplaceAll(raw, "\n", "\r\n")), o.source, local, o.server)
	if err != nil {
		t.Fatalf("making a request: %v", err)
	}
	return r
}

// App loads the JSON of a SIP app, without opening its listeners.
func App(t testing.TB, config string) *module.App {
	t.Helper()
	app, err := Load(t, config)
	if err != nil {
		t.Fatalf("loading the app: %v", err)
	}
	return app
}

// Load is App for configurations that may have errors.
func Load(t testing.TB, config string) (*module.App, error) {
	t.Helper()
	caddy.DefaultStorage.Path = t.TempDir()
	ctx, err := caddy.ProvisionContext(&caddy.Config{
		Admin:   &caddy.AdminConfig{Disabled: true},
		Logging: &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{Level: "PANIC"}}}},
		AppsRaw: caddy.ModuleMap{"sip": json.RawMessage(config)},
	})
	if err != nil {
		return nil, err
	}
	app, err := ctx.App("sip")
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = app.(*module.App).Cleanup() })
	return app.(*module.App), nil
}

// Recorder is a ResponseWriter that keeps what is written.
type Recorder struct {
	Responses []*module.Response
	status    int
}

// WriteResponse implements module.ResponseWriter.
func (w *Recorder) WriteResponse(res *module.Response) error {
	w.Responses = append(w.Responses, res)
	if res.Status >= 200 {
		w.status = res.Status
	}
	return nil
}

// Status implements module.ResponseWriter.
func (w *Recorder) Status() int { return w.status }

// Next counts how often the rest of the chain is run. Its method Serve is a module.Next.
type Next struct{ Calls int }

// Serve implements module.Next.
func (n *Next) Serve(module.ResponseWriter, *module.Request) error {
	n.Calls++
	return nil
}

// Interface guard
var _ module.ResponseWriter = (*Recorder)(nil)
