package module

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/domains"
	"github.com/caddysip/caddysip/internal/engine"
	"github.com/caddysip/caddysip/internal/follow"
	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/metrics"
	"github.com/caddysip/caddysip/internal/workers"
	"github.com/caddysip/caddysip/module/keyprofile"
	_ "github.com/caddysip/caddysip/module/storage" // the default
	"github.com/caddysip/caddysip/storage"
)

func init() {
	caddy.RegisterModule(&App{})
}

// App is the SIP app: servers that listen for SIP requests and give them to routes.
//
// Sockets, connections, transactions and registrations outlive a configuration: a reload changes
// what is done with the next request and disturbs nothing that is under way.
//
// Beside Caddy's own, these placeholders are there:
//
// Placeholder | Description
// ------------|---------------
// `{sip.method}` | The method
// `{sip.uri}` | The Request-URI; also `.user`, `.host`
// `{sip.from.uri}` | The From URI; also `.user`, `.host`
// `{sip.to.uri}` | The To URI; also `.user`, `.host`
// `{sip.contact.uri}` | The first Contact URI
// `{sip.header.*}` | A header field's first value
// `{sip.call_id}`, `{sip.cseq}`, `{sip.user_agent}` | Those header fields
// `{sip.source}` | Address and port the packet came from; also `.ip`, `.port`
// `{sip.local.host}`, `{sip.local.port}` | The address the packet was sent to
// `{sip.transport}` | udp or tcp
// `{sip.auth.user}` | Whose credentials were checked
// `{sip.vars.*}` | A variable
// `{sip.regexp.*}` | A capture of a regular expression
// `{sip.response.status}` | The final response's status, once it has been sent
// `{sip.error.status}`, `{sip.error.reason}`, `{sip.error.message}` | The error being handled
// `{sip.snom.model}`, `{sip.snom.firmware}` | What the User-Agent of a Snom phone says
type App struct {
	// The domains that are served. Addresses among them, and all addresses that servers listen on,
	// stand for the first one. Global placeholders, such as {env.NAME}, are replaced. Default:
	// every address a server listens on, the machine's own name, and localhost, all of them as one
	// domain.
	Domains []string `json:"domains,omitempty"`

	// Where registrations and key records are kept. Over a reload that leaves the storage as it is,
	// it stays open. When it changes, the registrations that are in memory are written to the new
	// one, and those that are in there and still valid are restored; key records are those of the
	// new one. Default: bolt, with its default file.
	StorageRaw json.RawMessage `json:"storage,omitempty" caddy:"namespace=sip.storage inline_key=module"`

	// What function keys of Snom phones show, and how they are told.
	Keys *keyprofile.Config `json:"keys,omitempty"`

	// How long a listener that a new configuration removes goes on, with the routes it had: calls
	// that are being set up there, and requests that are on their way, have that time to end. After
	// it its connections are closed. Default: 32 seconds, which no transaction outlives.
	GracePeriod caddy.Duration `json:"grace_period,omitempty"`

	// The servers, by names of your choice.
	Servers map[string]*Server `json:"servers,omitempty"`

	// Where in a Caddyfile the app is written, as file:line, for errors. It has no other effect.
	Source string `json:"source,omitempty"`

	logger      *zap.Logger
	domains     *domains.Set
	engine      *engine.Engine
	generation  *engine.Generation
	in          inside.App
	owners      []*Server // whose address each of generation.Listen is
	workers     *workers.Pools
	storage     certmagic.Storage
	secret      []byte
	members     []*follow.File // of profiles of keys
	unwatch     func()         // stops following them; nil: they are not followed
	stopLooking func()         // stops looking up our names
	ctx         caddy.Context
	events      *caddyevents.App // nil when it is not configured
	attached    bool
	pooled      bool
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip", New: func() caddy.Module { return new(App) }}
}

// engines holds the process's one engine, for as long as a configuration uses it.
var engines = caddy.NewUsagePool()

// Provision loads the routes. It opens nothing.
func (a *App) Provision(ctx caddy.Context) error { return located(a.provision(ctx), a.Source) }

func (a *App) provision(ctx caddy.Context) error {
	a.ctx = ctx
	a.logger = ctx.Logger()
	a.workers = workers.New(a.logger, a.guard)
	a.storage = ctx.Storage()
	a.generation = &engine.Generation{Dispatcher: (*dispatcher)(a), Logger: a.logger, Grace: engine.DefaultGrace}
	switch {
	case a.GracePeriod < 0:
		return fmt.Errorf("grace_period %s: it must not be negative", time.Duration(a.GracePeriod))
	case a.GracePeriod > 0:
		a.generation.Grace = time.Duration(a.GracePeriod)
	}
	for i := range a.Domains {
		if err := provisionDomain(&a.Domains[i]); err != nil {
			return fmt.Errorf("domain: %w", err)
		}
	}
	if err := a.listenAddresses(); err != nil {
		return err
	}
	if err := a.loadStorage(ctx); err != nil {
		return err
	}
	if err := a.findEvents(); err != nil {
		return err
	}
	listen := make([]netip.AddrPort, len(a.generation.Listen))
	for i, l := range a.generation.Listen {
		listen[i] = l.Addr
	}
	a.domains = domains.New(a.Domains, listen, a.generation.Advertise)
	if err := a.provisionKeys(); err != nil {
		return err
	}
	e, _, err := engines.LoadOrNew("engine", func() (caddy.Destructor, error) { return engine.New(), nil })
	if err != nil {
		return err
	}
	a.engine, a.pooled = e.(*engine.Engine), true
	a.in = inside.App{Site: a, Engine: a.engine, Generation: a.generation, Guard: a.guard}
	for name, s := range a.Servers {
		if err := s.provision(ctx, a, name); err != nil {
			return located(fmt.Errorf("server %s: %w", name, err), s.Source)
		}
	}
	return metrics.Register(ctx.GetMetricsRegistry(), append(a.engine.Collectors(), collectors...)...)
}

// loadStorage finds out where registrations are kept. It opens nothing.
func (a *App) loadStorage(ctx caddy.Context) error {
	var m any
	var err error
	if a.StorageRaw == nil {
		m, err = ctx.LoadModuleByID("sip.storage.bolt", nil)
	} else {
		m, err = ctx.LoadModule(a, "StorageRaw")
	}
	if err != nil {
		return fmt.Errorf("loading the storage: %w", err)
	}
	s, ok := m.(storage.Storage)
	if !ok {
		return fmt.Errorf("%T is no storage: its module is in the namespace sip.storage, but it has no Identity or Open", m)
	}
	a.generation.Storage = s
	return nil
}

// Start opens the listeners and puts the configuration in force.
func (a *App) Start() error {
	secret, err := loadSecret(a.storage)
	if err != nil {
		return err
	}
	a.secret = secret
	if err := a.engine.Attach(a.generation); err != nil {
		if listen, ok := errors.AsType[*engine.ListenError](err); ok {
			s := a.owners[listen.Index]
			err = located(fmt.Errorf("server %s: %w", s.name, err), s.Source)
		}
		return err
	}
	a.attached = true
	var ctx context.Context
	ctx, a.stopLooking = context.WithCancel(context.Background())
	if engine.Network == nil { // a simulated one has no DNS
		go a.domains.FindNames(ctx)
	}
	a.watchMembers()
	if a.events != nil {
		emitting.start(a.engine.Events)
	}
	return nil
}

// Stop takes the configuration out of force. What is under way goes on.
func (a *App) Stop() error {
	if a.attached {
		a.attached = false
		a.stopLooking()
		if a.unwatch != nil {
			a.unwatch()
		}
		a.engine.Detach(a.generation)
		if a.events != nil {
			emitting.end()
		}
	}
	return nil
}

// Cleanup lets go of the engine.
func (a *App) Cleanup() error {
	err := a.Stop()
	if a.pooled {
		a.pooled = false
		_, e := engines.Delete("engine")
		err = errors.Join(err, e)
	}
	return err
}

// Secret returns a key that only this server knows, or the servers that share its storage.
func (a *App) Secret() []byte { return a.secret }

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
	_ engine.Dispatcher  = (*dispatcher)(nil)
)
