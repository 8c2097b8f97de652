package module

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/internal/authorder"
	"github.com/caddysip/caddysip/wire"
)

// Authenticator is implemented by handlers that let a request pass only if its sender has
// authenticated, as digest_auth does.
type Authenticator interface {
	// Authenticates reports whether the handler, as it is configured, does that.
	Authenticates() bool
}

// Guarded is implemented by handlers that should be reached only by authenticated senders, as
// register should: loading a configuration in which requests reach them without authentication logs
// a warning.
type Guarded interface {
	// GuardedMethod returns the method whose senders should have been authenticated before the
	// handler; empty if there is none.
	GuardedMethod() string
}

// noteGuard takes note of a handler of the server that is being provisioned.
func noteGuard(ctx caddy.Context, h namedHandler) {
	s, ok := ctx.Value(serverKey).(*Server)
	if !ok {
		return
	}
	step := authorder.Of(h.Handler, h.name, "")
	s.authenticates = s.authenticates || step.Authenticates
	if step.Method == wire.REGISTER.String() {
		s.addTrusting(h.name)
	}
}

// warnAuthOrder warns of handlers that are reached by requests that nobody asked for a password.
func (s *Server) warnAuthOrder() {
	if !s.authenticates {
		return // warnOpen knows whether that matters
	}
	for _, f := range authorder.Check(s.steps(s.Routes, "route "), s.namedSteps) {
		s.logger.Log(f.Level, f.Message)
	}
}

// steps returns what requests come to in a list of routes.
func (s *Server) steps(routes RouteList, place string) []authorder.Step {
	var steps []authorder.Step
	for i, r := range routes {
		here := fmt.Sprint(place, i)
		step := authorder.Step{Match: r.match, Group: r.Group}
		for _, h := range r.handlers {
			inner := authorder.Of(h.Handler, h.name, here)
			switch h := h.Handler.(type) {
			case *Subroute:
				inner.Inner = s.steps(h.Routes, here+".")
			case *Invoke:
				inner.Named = h.Name
			}
			step.Inner = append(step.Inner, inner)
		}
		steps = append(steps, step)
	}
	return steps
}

func (s *Server) namedSteps(name string) []authorder.Step {
	return s.steps(RouteList{s.NamedRoutes[name]}, "named route "+name+" ")
}

// Interface guards
var (
	_ interface{ Authenticates() bool }   = Authenticator(nil)
	_ interface{ GuardedMethod() string } = Guarded(nil)
)
