package unasked

import (
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap/zapcore"
)

// Step is a handler, or a route with handlers, in the order in which requests come to them.
type Step struct {
	Match []caddy.ModuleMap // the matcher sets; none: it is for all requests
	Group string            // as of a route
	Inner []Step            // what a route consists of
	Named string            // the named route that is run here

	Name          string // of the handler
	Place         string // where it stands, as "Caddyfile:7"
	Authenticates bool   // it lets a request pass only if its sender has authenticated
	Method        string // of the requests that should be asked before they come to it
}

// Of returns the step of a handler, which is a module.Authenticator, a module.Guarded or neither.
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

// Finding is a handler that requests come to unasked. What may be meant so is on the level Info.
type Finding struct {
	Level   zapcore.Level
	Message string
}

// Check returns what is wrong with the order of steps. A REGISTER that nobody asked lets its sender
// be any user, which is a warning; calls from strangers are what many servers are for.
//
// Nothing is said of what comes from addresses that the configuration names: a matcher remote_ip,
// or not remote_ip in front of the handler that asks, shows that it is meant.
//
// named returns what a named route consists of.
func Check(steps []Step, named func(name string) []Step) []Finding {
	c := checker{named: named}
	c.walk(steps, nil)
	for _, g := range c.early {
		for i := range c.asking {
			if a := &c.asking[i]; a.number > g.number {
				c.find(g.level, "%s comes before %s: it asks nobody for a password", g.step, a.step)
				break
			}
		}
	}
	return c.findings
}

type checker struct {
	named    func(name string) []Step
	invoking []string // the named routes that are being walked through
	number   int
	asking   []asking // so far
	early    []early
	findings []Finding
}

// asking is a handler that asks for a password, and the conditions of the routes it is in.
type asking struct {
	step   *Step
	path   []condition
	number int
}

// early is a handler that no handler asks in front of.
type early struct {
	step   *Step
	level  zapcore.Level
	number int
}

func (c *checker) find(level zapcore.Level, format string, args ...any) {
	c.findings = append(c.findings, Finding{level, fmt.Sprintf(format, args...)})
}

// walk goes through steps that are in routes with the conditions in path.
func (c *checker) walk(steps []Step, path []condition) {
	groups := make(map[string]condition) // what earlier routes of the group match
	for i := range steps {
		s := &steps[i]
		c.number++
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
			c.asking = append(c.asking, asking{s, here, c.number})
		}
		if s.Method != "" {
			c.guarded(s, here)
		}
		c.walk(s.Inner, here)
		if s.Named != "" && !slices.Contains(c.invoking, s.Named) {
			c.invoking = append(c.invoking, s.Named)
			c.walk(c.named(s.Named), here)
			c.invoking = c.invoking[:len(c.invoking)-1]
		}
	}
}

// guarded checks who asks the requests that come to a step.
func (c *checker) guarded(s *Step, path []condition) {
	own := all
	for _, p := range path {
		own = min(own, p.narrows(s.Method))
	}
	if own == never || own == byAddress {
		return
	}
	var last *Step // that asks some of them
	var partly []condition
	for i := range c.asking {
		a := &c.asking[i]
		rest := without(a.path, path)
		switch asks(rest, s.Method) {
		case everyone, everyoneElse:
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
		c.find(level, "%s is for some requests only: any other %s comes to %s unasked", last, s.Method, s)
	case s.Method == "REGISTER" || own == all:
		c.early = append(c.early, early{s, level, c.number})
	}
}
