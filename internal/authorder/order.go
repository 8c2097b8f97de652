package authorder

import (
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap/zapcore"
)

// Step is a handler, or a route with handlers.
type Step struct {
	Match []caddy.ModuleMap // the matcher sets; none: all requests match
	Group string            // of the route: only the first matching one of a group runs
	Inner []Step            // the steps of a route
	Named string            // the named route that runs here

	Name          string // of the handler
	Place         string // such as "Caddyfile:7"
	Authenticates bool   // it lets a request pass only if its sender has authenticated
	Method        string // the method whose senders should be authenticated before; empty: none
}

// Of returns the step of a handler, which may be a module.Authenticator or a module.Guarded.
func Of(handler any, name, place string) Step {
	s := Step{Name: name, Place: place}
	if a, ok := handler.(interface{ Authenticates() bool }); ok {
		s.Authenticates = a.Authenticates()
	}
	if g, ok := handler.(interface{ GuardedMethod() string }); ok {
		s.Method = g.GuardedMethod()
	}
	return s
}

func (s *Step) String() string { return s.Name + " at " + s.Place }

// Finding is a handler that requests reach unauthenticated. Its level is Info if that may be meant.
type Finding struct {
	Level   zapcore.Level
	Message string
}

// Check returns what is wrong with the order of steps. An unauthenticated REGISTER is a warning, as
// its sender can be any user; an unauthenticated call is not, as many servers take calls from
// strangers.
//
// Senders that the configuration names by their address are left out: a matcher remote_ip, or not
// remote_ip in front of the authenticating handler, shows that this is meant.
//
// named returns the steps of a named route.
func Check(steps []Step, named func(name string) []Step) []Finding {
	c := checker{named: named}
	c.walk(steps, nil)
	if len(c.authenticators) > 0 {
		first := c.authenticators[0].step // all that are unguarded come before it
		for _, g := range c.unguarded {
			c.report(g.level, "%s comes before %s: it asks nobody for a password", g.step, first)
		}
	}
	return c.findings
}

type checker struct {
	named          func(name string) []Step
	invoking       []string        // the named routes that are being walked
	authenticators []authenticator // so far
	unguarded      []unguarded
	findings       []Finding
}

// authenticator is a handler that authenticates, with the conditions of the routes that it is in.
type authenticator struct {
	step *Step
	path []condition
}

// unguarded is a handler with no authenticator in front of it.
type unguarded struct {
	step  *Step
	level zapcore.Level
}

func (c *checker) report(level zapcore.Level, format string, args ...any) {
	c.findings = append(c.findings, Finding{level, fmt.Sprintf(format, args...)})
}

// walk goes through steps, which are in routes with the conditions in path.
func (c *checker) walk(steps []Step, path []condition) {
	groups := make(map[string]condition) // what earlier routes of the group match
	for i := range steps {
		s := &steps[i]
		here := path[:len(path):len(path)]
		if earlier := groups[s.Group]; s.Group != "" {
			if len(earlier) > 0 {
				here = append(here, negate(earlier))
			}
			groups[s.Group] = append(earlier[:len(earlier):len(earlier)], s.Match...)
		}
		if len(s.Match) > 0 {
			here = append(here, s.Match)
		}
		if s.Authenticates {
			c.authenticators = append(c.authenticators, authenticator{s, here})
		}
		if s.Method != "" {
			c.checkGuarded(s, here)
		}
		c.walk(s.Inner, here)
		if s.Named != "" && !slices.Contains(c.invoking, s.Named) {
			c.invoking = append(c.invoking, s.Named)
			c.walk(c.named(s.Named), here)
			c.invoking = c.invoking[:len(c.invoking)-1]
		}
	}
}

// checkGuarded checks which of the requests that reach a step have been authenticated.
func (c *checker) checkGuarded(s *Step, path []condition) {
	own := all
	for _, p := range path {
		own = min(own, p.narrows(s.Method))
	}
	if own == never || own == byAddress {
		return
	}
	var last *Step // the last one that authenticates some of them
	var partly []condition
	for i := range c.authenticators {
		a := &c.authenticators[i]
		rest := without(a.path, path)
		switch covers(rest, s.Method) {
		case everyone, exceptAddresses:
			return
		case some:
			last = a.step
			if len(rest) == 1 {
				partly = append(partly, rest[0])
			}
		case nobody:
			last = a.step
		}
	}
	if complement(partly, s.Method) {
		return
	}
	level := zapcore.InfoLevel
	if s.Method == "REGISTER" && own == all {
		level = zapcore.WarnLevel
	}
	switch {
	case last != nil:
		c.report(level, "%s is for some requests only: any other %s reaches %s without authentication", last, s.Method, s)
	case s.Method == "REGISTER" || own == all:
		c.unguarded = append(c.unguarded, unguarded{s, level})
	}
}
