package module

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/engine"
	"github.com/caddysip/caddysip/internal/globals"
	"github.com/caddysip/caddysip/internal/ipset"
	"github.com/caddysip/caddysip/internal/sip/transport"
)

// Server listens on addresses and gives the requests that come there to its routes.
type Server struct {
	// The addresses, as [network/]host:port; the network is udp or tcp, none stands for both.
	// Default port: 5060.
	Listen []string `json:"listen,omitempty"`

	// The routes, in the order they are run. A request that no route answers gets the answer a user
	// agent would give: 200 to OPTIONS for the server itself, 404 or 405 else.
	Routes RouteList `json:"routes,omitempty"`

	// Routes that are run by name, by the handler invoke.
	NamedRoutes map[string]*Route `json:"named_routes,omitempty"`

	// What is done when a handler returns an error. Default: the error's status is the answer.
	Errors *ErrorRoutes `json:"errors,omitempty"`

	// Makes an access log: one entry a request, when its final response is sent. Default: no log.
	Logs *ServerLogs `json:"logs,omitempty"`

	// What others can make the server do and hold. Default: each limit's own.
	Limits *Limits `json:"limits,omitempty"`

	// Keep-alives for the NATs of phones that are registered here over UDP and send none
	// themselves. Default: none.
	KeepAlive *KeepAlive `json:"keepalive,omitempty"`

	// Addresses and ranges in CIDR notation of neighbours that are believed: edge proxies,
	// gateways, trunks. What they say of a caller's identity (P-Asserted-Identity, Diversion, …)
	// passes, register follows their Path unless it is told otherwise, and they may act for either
	// end of a call that was set up through them. Placeholders are replaced when the configuration
	// is loaded. Default: none.
	Trust []string `json:"trust,omitempty"`

	// The host or host:port that others reach the server at, when it is not an address that it
	// listens on. The host is a name or an address. It is for 1:1 NAT and forwarded ports, and
	// stands in Via, Record-Route and Contact. Placeholders are replaced when the configuration is
	// loaded. Default: the address that a request came to; the default port is that of each
	// listener.
	Advertise string `json:"advertise,omitempty"`

	// Where in a Caddyfile the server is written, as file:line, for errors. It has no other effect.
	Source string `json:"source,omitempty"`

	trusted       ipset.Set
	authenticates bool
	trusting      []string // the handlers that trust From without authentication

	app      *App
	name     string
	logger   *zap.Logger
	access   *zap.Logger
	serve    Next
	onError  func(ResponseWriter, *Request, error) error
	invoking []string
}

type contextKey string

const (
	serverKey contextKey = "sip_server"
	appKey    contextKey = "sip_app"
)

// AppFrom returns the app that a module is being provisioned for. It is for modules of the SIP app;
// those of others, such as HTTP handlers, get it by ctx.App("sip").
func AppFrom(ctx caddy.Context) (*App, error) {
	if a, ok := ctx.Value(appKey).(*App); ok {
		return a, nil
	}
	return nil, errors.New("this module works only in the routes of a SIP server")
}

// ServerFrom returns the server that a module is being provisioned for.
func ServerFrom(ctx caddy.Context) (*Server, error) {
	if s, ok := ctx.Value(serverKey).(*Server); ok {
		return s, nil
	}
	return nil, errors.New("this module works only in the routes of a SIP server")
}

// Name returns the server's name.
func (s *Server) Name() string { return s.name }

// Trusts reports whether the configuration trusts an address: Trust has it.
func (s *Server) Trusts(addr netip.Addr) bool { return s.trusted.Contains(addr) }

// App returns the app the server belongs to.
func (s *Server) App() *App { return s.app }

func (s *Server) provision(ctx caddy.Context, a *App, name string) error {
	s.app, s.name = a, name
	s.logger = a.logger.With(zap.String("server", name))
	var err error
	if s.Logs != nil {
		if s.Logs.LoggerName, err = globals.Text(s.Logs.LoggerName); err != nil {
			return fmt.Errorf("log: %w", err)
		}
		s.access = a.logger.Named(s.Logs.loggerName())
	}
	if s.trusted, err = ipset.Parse(s.Trust); err != nil {
		return fmt.Errorf("trust: %w", err)
	}
	ctx = ctx.WithValue(appKey, a)
	ctx = ctx.WithValue(serverKey, s)
	for name, r := range s.NamedRoutes {
		if err := r.provision(ctx); err != nil {
			return located(fmt.Errorf("named route %s: %w", name, err), r.Source)
		}
	}
	if err := s.Routes.Provision(ctx); err != nil {
		return err
	}
	if s.Errors != nil {
		if err := s.Errors.Routes.Provision(ctx); err != nil {
			return fmt.Errorf("error routes: %w", err)
		}
		if s.onError, err = s.Errors.compile(); err != nil {
			return fmt.Errorf("error routes: %w", err)
		}
	}
	if s.serve, err = s.Routes.Compile(unanswered); err != nil {
		return err
	}
	s.warnOpen()
	s.warnAuthOrder()
	return nil
}

// listenAddresses collects what all servers listen on, and refuses what overlaps.
func (a *App) listenAddresses() error {
	owner := make(map[engine.Address]string)
	for _, name := range slices.Sorted(maps.Keys(a.Servers)) {
		s := a.Servers[name]
		if err := a.listenAddressesOf(s, name, owner); err != nil {
			return located(fmt.Errorf("server %s: %w", name, err), s.Source)
		}
	}
	return nil
}

// listenAddressesOf collects the addresses of one server, and adds them to owner, which has those
// of the servers before.
func (a *App) listenAddressesOf(s *Server, name string, owner map[engine.Address]string) error {
	if len(s.Listen) == 0 {
		return errors.New("no address to listen on: give it one in listen, as in :5060")
	}
	if s.Limits != nil {
		if err := s.Limits.Validate(); err != nil {
			return err
		}
	}
	if l := s.Limits; l != nil && l.Memory != 0 {
		if a.generation.Memory == 0 || l.Memory < a.generation.Memory {
			a.generation.Memory = l.Memory
		}
	}
	advertise, err := s.advertised()
	if err != nil {
		return err
	}
	keepAlive, err := s.KeepAlive.setting()
	if err != nil {
		return err
	}
	limits := s.Limits.listener()
	limits.Trusted = &s.trusted
	for _, text := range s.Listen {
		list, err := parseListenAddress(text)
		if err != nil {
			return err
		}
		for _, addr := range list {
			for other, by := range owner {
				if transport.Overlap(addr.Network, addr.Addr, other.Network, other.Addr) {
					return fmt.Errorf("%s overlaps with %s of server %s; "+
						"each address can be listened on once", addr, other, by)
				}
			}
			owner[addr] = name
			a.generation.Listen = append(a.generation.Listen, addr)
			a.generation.Limits = append(a.generation.Limits, limits)
			a.advertise(advertise, addr.Addr.Port())
			a.generation.KeepAlive = append(a.generation.KeepAlive, keepAlive)
			a.owners = append(a.owners, s)
		}
	}
	return nil
}

// serverOf returns the server that listens where a request came, nil when none does any more: what
// is left of another server's connections must not get into these routes. What comes over a
// connection that we made belongs to the first server.
func (a *App) serverOf(f *transport.Flow) *Server {
	for i, own := range a.generation.Listeners {
		if own == f.Listener || f.Listener == nil {
			return a.owners[i]
		}
	}
	// A listener that was moved, to all addresses or to one of them.
	for i, own := range a.generation.Listeners {
		if own.Network() == f.Network && own.Covers(f.Local) {
			return a.owners[i]
		}
	}
	return nil
}
