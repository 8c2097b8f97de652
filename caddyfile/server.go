package caddyfile

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/internal/authorder"
	"github.com/caddysip/caddysip/internal/directive"
	"github.com/caddysip/caddysip/internal/suggest"
	"github.com/caddysip/caddysip/module"
)

// server reads a server block.
func (a *app) server(block serverBlock) (*module.Server, error) {
	s := &module.Server{Source: place(block.body[0])}
	for _, t := range block.addresses {
		for address := range strings.SplitSeq(t.Text, ",") {
			if address == "" {
				continue // behind a comma at the end
			}
			if err := checkAddress(address); err != nil {
				return nil, at(t).WrapErr(err)
			}
			if slices.Contains(s.Listen, address) {
				return nil, at(t).Errf("the address %s is there twice", address)
			}
			s.Listen = append(s.Listen, address)
		}
	}
	d := caddyfile.NewDispenser(block.body)
	d.Next()
	top := &serverScope{Server: s, named: make(map[string]*namedRoute)}
	sc := &scope{server: top}
	var err error
	if s.Routes, err = sc.block(d, "the server "+d.Val()); err != nil {
		return nil, err
	}
	if top.errors != nil {
		// What is for all errors comes last, so that it takes what the others leave.
		slices.SortStableFunc(top.errors, func(a, b *module.Route) int { return len(b.MatcherSetsRaw) - len(a.MatcherSetsRaw) })
		s.Errors = &module.ErrorRoutes{Routes: top.errors}
	}
	if err := a.addNamedRoutes(top, sc.invoked); err != nil {
		return nil, err
	}
	a.warnAuthOrder(top, sc.steps)
	return s, nil
}

// warnAuthOrder warns of handlers of a server that are reached by requests that nobody asked for a
// password. It is logged, as Caddy's own directives do: options have no way to return warnings.
func (a *app) warnAuthOrder(s *serverScope, steps []authorder.Step) {
	for _, f := range authorder.Check(steps, func(name string) []authorder.Step {
		if r := a.namedRoute(s, name); r != nil {
			return r.steps
		}
		return nil
	}) {
		caddy.Log().Named("caddyfile").Log(f.Level, f.Message)
	}
}

// namedRoute returns the named route that a server invokes by a name: one of its own, or one beside
// the servers; nil when there is none.
func (a *app) namedRoute(s *serverScope, name string) *namedRoute {
	if r := s.named[name]; r != nil {
		return r
	}
	return a.named[name]
}

// at returns a dispenser that stands at a token, for errors.
func at(t caddyfile.Token) *caddyfile.Dispenser {
	d := caddyfile.NewDispenser([]caddyfile.Token{t})
	d.Next()
	return d
}

// checkAddress finds what is wrong with a listener address without asking the DNS, which the
// machine that adapts the Caddyfile may not have.
func checkAddress(text string) error {
	if strings.Contains(text, "{") {
		return fmt.Errorf("listener address %q: there are no placeholders in addresses; an environment variable is written as {$NAME}", text)
	}
	if na, err := caddy.ParseNetworkAddressWithDefaults(text, "udp", module.DefaultPort); err == nil && na.Host != "" {
		if _, err := netip.ParseAddr(na.Host); err != nil {
			text = strings.Replace(text, na.Host, "127.0.0.1", 1)
		}
	}
	return module.CheckListenAddress(text)
}

// serverScope is what a server block has beside its routes.
type serverScope struct {
	*module.Server
	named  map[string]*namedRoute
	errors module.RouteList

	handled []string // the conditions of errors; an empty one is for all
}

// log reads whether there is an access log.
//
//	log [<name>]
func (s *serverScope) log(d *caddyfile.Dispenser) error {
	if s.Logs != nil {
		return d.Err("log is there already: a server has one access log")
	}
	s.Logs = new(module.ServerLogs)
	if d.NextArg() {
		s.Logs.LoggerName = d.Val()
	}
	if d.NextArg() {
		return d.Errf("log takes one name: found '%s' behind it", d.Val())
	}
	if d.NextBlock(d.Nesting()) {
		return d.Err("log has no block here: where the log goes is said by the global option log, with include sip.log.access")
	}
	return nil
}

// trust reads which neighbours are believed. It may be there several times.
//
//	trust <ranges...>
//
// private_ranges stands for all private IPv4 and IPv6 ranges.
func (s *serverScope) trust(d *caddyfile.Dispenser) error {
	words := d.RemainingArgs()
	if len(words) == 0 {
		return d.Err("trust needs the addresses or ranges that are trusted, as in 10.0.0.0/8")
	}
	words, err := directive.Prefixes(words)
	if err != nil {
		return d.Errf("trust: %w", err)
	}
	s.Trust = append(s.Trust, words...)
	return directive.NoBlock(d, "trust")
}

// advertise reads the host and port that others reach the server at.
//
//	advertise <host>[:<port>]
func (s *serverScope) advertise(d *caddyfile.Dispenser) error {
	if s.Advertise != "" {
		return d.Err("advertise is there already: a server is known by one name or address")
	}
	words := d.RemainingArgs()
	if len(words) != 1 {
		return d.Err("advertise takes one host, maybe with a port, as in 203.0.113.7 or " +
			"sip.example.com:5070")
	}
	s.Advertise = words[0]
	if !strings.Contains(s.Advertise, "{") {
		if _, err := module.ParseAdvertise(s.Advertise); err != nil {
			return d.WrapErr(err)
		}
	}
	return directive.NoBlock(d, "advertise")
}

// handleErrors reads what is done about errors.
//
//	handle_errors [<codes...>] {
//		<directives...>
//	}
//
// A code is a status, or a class as in 4xx.
func (s *serverScope) handleErrors(d *caddyfile.Dispenser, sc *scope) error {
	var conditions []string
	for d.NextArg() {
		c, err := errorCondition(d.Val())
		if err != nil {
			return d.WrapErr(err)
		}
		if slices.Contains(s.handled, c) {
			return d.Errf("handle_errors %s is there already", d.Val())
		}
		s.handled = append(s.handled, c)
		conditions = append(conditions, c)
	}
	if conditions == nil {
		if slices.Contains(s.handled, "") {
			return d.Err("handle_errors for all errors is there already")
		}
		s.handled = append(s.handled, "")
	}
	routes, err := sc.inner(d, "handle_errors")
	if err != nil {
		return err
	}
	r := &module.Route{Group: "handle_errors", Source: place(d.Token())}
	if conditions != nil {
		r.MatcherSetsRaw = []caddy.ModuleMap{{"expression": caddyconfig.JSON(strings.Join(conditions, " || "), nil)}}
	}
	s.errors = append(s.errors, r)
	return addHandler(r, "subroute", &module.Subroute{Routes: routes})
}

func errorCondition(code string) (string, error) {
	class, isClass := strings.CutSuffix(code, "xx")
	if isClass && len(class) == 1 && class >= "3" && class <= "6" {
		return fmt.Sprintf("{sip.error.status} >= %s00 && {sip.error.status} <= %s99", class, class), nil
	}
	if len(code) != 3 || code < "300" || code > "699" || strings.Trim(code, "0123456789") != "" {
		return "", fmt.Errorf("handle_errors: '%s' is no status of an error: write 300 to 699, "+
			"or a class as in 4xx", code)
	}
	return "{sip.error.status} == " + code, nil
}

// namedRoute is a route that invoke runs.
type namedRoute struct {
	*module.Route
	invoked []caddyfile.Token
	steps   []authorder.Step
}

// parseNamedRoute reads a named route.
//
//	&(<name>) {
//		<directives...>
//	}
func parseNamedRoute(d *caddyfile.Dispenser, outer *scope, named map[string]*namedRoute) error {
	source := place(d.Token())
	name, ok := strings.CutSuffix(strings.TrimPrefix(d.Val(), "&("), ")")
	if !ok || name == "" {
		return d.Errf("the name of a named route is written as &(name), not '%s'", d.Val())
	}
	if named[name] != nil {
		return d.Errf("the named route &(%s) is there already", name)
	}
	if d.NextArg() {
		return d.Errf("&(%s) has no arguments, only a block: found '%s'", name, d.Val())
	}
	sc := &scope{matchers: outer.matchers}
	routes, err := sc.block(d, "&("+name+")")
	if err != nil {
		return err
	}
	r := &module.Route{Source: source}
	named[name] = &namedRoute{r, sc.invoked, sc.steps}
	return addHandler(r, "subroute", &module.Subroute{Routes: routes})
}

// addNamedRoutes gives a server the named routes that it invokes, and those that they invoke.
func (a *app) addNamedRoutes(s *serverScope, invoked []caddyfile.Token) error {
	for _, t := range invoked {
		name := t.Text
		if s.NamedRoutes[name] != nil {
			continue
		}
		r := a.namedRoute(s, name)
		if r == nil {
			return at(t).Errf("there is no named route &(%s): %s", name, routeHint(name, s.named, a.named))
		}
		if s.NamedRoutes == nil {
			s.NamedRoutes = make(map[string]*module.Route)
		}
		s.NamedRoutes[name] = r.Route
		if err := a.addNamedRoutes(s, r.invoked); err != nil {
			return err
		}
	}
	return nil
}

func routeHint(name string, lists ...map[string]*namedRoute) string {
	var known []string
	for _, list := range lists {
		for k := range list {
			known = append(known, k)
		}
	}
	if known == nil {
		return "write it with &(" + name + ") { … } beside the servers"
	}
	return suggest.DidYouMean(name, known)
}
