package module

import (
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"
)

func init() {
	caddy.RegisterModule(&Subroute{})
	caddy.RegisterModule(&Invoke{})
}

// Subroute runs a list of routes of its own in the place of one handler. The directives handle and
// route make it.
type Subroute struct {
	// The routes.
	Routes RouteList `json:"routes,omitempty"`

	// What is done when one of the routes returns an error. Default: the error goes on to the
	// server's error routes.
	Errors *ErrorRoutes `json:"errors,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Subroute) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.handlers.subroute", New: func() caddy.Module { return new(Subroute) }}
}

// Provision loads the routes.
func (s *Subroute) Provision(ctx caddy.Context) error {
	if err := s.Routes.Provision(ctx); err != nil {
		return err
	}
	if s.Errors != nil {
		return s.Errors.Routes.Provision(ctx)
	}
	return nil
}

// Compile implements Compiler.
func (s *Subroute) Compile(next Next) (Next, error) {
	routes, err := s.Routes.Compile(next)
	if err != nil || s.Errors == nil {
		return routes, err
	}
	onError, err := s.Errors.compile()
	if err != nil {
		return nil, err
	}
	return func(w ResponseWriter, r *Request) error {
		err := routes(w, r)
		if err == nil || w.Status() >= 200 {
			return err
		}
		return onError(w, r, err)
	}, nil
}

// ServeSIP is never called: routes are compiled.
func (s *Subroute) ServeSIP(w ResponseWriter, r *Request, next Next) error { return next(w, r) }

// ErrorRoutes are run when a handler returns an error. {sip.error.status}, {sip.error.reason} and
// {sip.error.message} tell which.
type ErrorRoutes struct {
	// The routes. When none of them answers, the error's status does.
	Routes RouteList `json:"routes,omitempty"`
}

// compile returns a function that gives a request and its error to the routes. It returns the error
// when they come to their end and nobody has answered; a handler that answers later doesn't let
// them come there.
func (e *ErrorRoutes) compile() (func(ResponseWriter, *Request, error) error, error) {
	routes, err := e.Routes.Compile(func(w ResponseWriter, r *Request) error {
		if w.Status() != 0 {
			return nil
		}
		return *r.err
	})
	if err != nil {
		return nil, err
	}
	return func(w ResponseWriter, r *Request, cause error) error {
		he := asHandlerError(cause)
		r.err = &he
		return routes(w, r)
	}, nil
}

// Invoke runs a named route.
type Invoke struct {
	// The name of the route.
	Name string `json:"name,omitempty"`

	server *Server
}

// CaddyModule returns the Caddy module information.
func (*Invoke) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.handlers.invoke", New: func() caddy.Module { return new(Invoke) }}
}

// Provision finds the server.
func (i *Invoke) Provision(ctx caddy.Context) error {
	i.server, _ = ctx.Value(serverKey).(*Server)
	if i.server == nil {
		return fmt.Errorf("invoke works only in the routes of a SIP server")
	}
	return nil
}

// Compile implements Compiler.
func (i *Invoke) Compile(next Next) (Next, error) {
	route, ok := i.server.NamedRoutes[i.Name]
	if !ok {
		return nil, fmt.Errorf("there is no named route %q", i.Name)
	}
	if slices.Contains(i.server.invoking, i.Name) {
		return nil, fmt.Errorf("the named route %q invokes itself", i.Name)
	}
	i.server.invoking = append(i.server.invoking, i.Name)
	defer func() { i.server.invoking = i.server.invoking[:len(i.server.invoking)-1] }()
	return RouteList{route}.Compile(next)
}

// ServeSIP is never called: routes are compiled.
func (i *Invoke) ServeSIP(w ResponseWriter, r *Request, next Next) error { return next(w, r) }

// Interface guards
var (
	_ caddy.Provisioner = (*Subroute)(nil)
	_ caddy.Provisioner = (*Invoke)(nil)
	_ Handler           = (*Subroute)(nil)
	_ Handler           = (*Invoke)(nil)
	_ Compiler          = (*Subroute)(nil)
	_ Compiler          = (*Invoke)(nil)
)
