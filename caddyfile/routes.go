package caddyfile

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/internal/authorder"
	"github.com/caddysip/caddysip/internal/directive"
	"github.com/caddysip/caddysip/internal/suggest"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/module/match"
)

// scope is what the directives in a block can refer to.
type scope struct {
	matchers map[string]caddy.ModuleMap // by name, with the @
	invoked  []caddyfile.Token          // the names of the named routes that are invoked in it
	steps    []authorder.Step           // its directives
	step     authorder.Step             // the directive that was read last
	server   *serverScope               // nil in all blocks but a server's own
}

// builtin are the directives that are no handlers.
var builtin = []string{
	"advertise", "handle", "handle_errors", "invoke", "keepalive", "limits", "log", "route",
	"trust",
}

// serverOnly are those of them that stand in the block of a server alone.
var serverOnly = []string{"advertise", "handle_errors", "keepalive", "limits", "log", "trust"}

// scopeKey is where handlers with routes of their own find the scope in their dispenser.
const scopeKey = "sip_scope"

// ParseRoutes reads the block behind d's current token as routes. It is for handlers that have
// routes of their own, and works in UnmarshalCaddyfile only, with the dispenser that it was given:
// named matchers and named routes around the handler are known to it.
func ParseRoutes(d *caddyfile.Dispenser) (module.RouteList, error) {
	s, ok := d.GetContext(scopeKey).(*scope)
	if !ok {
		return nil, d.Err("routes can be read only in the block of a SIP server")
	}
	return s.inner(d, d.Val())
}

// inner reads a block within the scope. Matchers that it defines are known only there.
func (s *scope) inner(d *caddyfile.Dispenser, name string) (module.RouteList, error) {
	in := &scope{matchers: s.matchers}
	routes, err := in.block(d, name)
	s.invoked = append(s.invoked, in.invoked...)
	s.step.Inner = in.steps
	return routes, err
}

// add adds a handler to a route.
func (s *scope) add(r *module.Route, name string, h any) error {
	inner := s.step.Inner
	s.step = authorder.Of(h, name, "")
	if name == "subroute" {
		s.step.Inner = inner
	}
	return addHandler(r, name, h)
}

// block reads the block of the directive with that name, behind d's current token: matchers first,
// since they may be defined behind their use.
func (s *scope) block(d *caddyfile.Dispenser, name string) (module.RouteList, error) {
	var definitions, directives []caddyfile.Segment
	found := false
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		found = true
		segment := nextSegment(d)
		if strings.HasPrefix(segment.Directive(), "@") {
			definitions = append(definitions, segment)
		} else {
			directives = append(directives, segment)
		}
	}
	if d.NextArg() {
		return nil, d.Errf("unexpected '%s' behind %s: before its block only a matcher can stand, "+
			"as in @calls", d.Val(), name)
	}
	if !found && d.Val() != "}" {
		return nil, d.Errf("%s needs a block with directives, between { and } with line breaks", name)
	}
	if err := s.define(definitions); err != nil {
		return nil, err
	}
	var routes module.RouteList
	for _, segment := range directives {
		r, err := s.directive(segment)
		if err != nil {
			return nil, err
		}
		if r != nil {
			r.Source = place(segment[0])
			routes = append(routes, r)
			s.step.Place, s.step.Match, s.step.Group = r.Source, r.MatcherSetsRaw, r.Group
			s.steps = append(s.steps, s.step)
		}
	}
	return routes, nil
}

// place returns where a token stands.
func place(t caddyfile.Token) string { return fmt.Sprintf("%s:%d", t.File, t.Line) }

// nextSegment returns d's next directive as Dispenser.NextSegment does, with the braces of an empty
// block, which that leaves out.
func nextSegment(d *caddyfile.Dispenser) caddyfile.Segment {
	segment := d.NextSegment()
	last, end := segment[len(segment)-1], d.Token()
	if end.Quoted() || end.Text != "}" || last.Text == "}" && !last.Quoted() {
		return segment
	}
	open := end.Clone()
	open.Text, open.Line = "{", last.Line
	return append(segment, open, end)
}

// define reads named matchers. They hide those of the same name outside.
//
//	@<name> <matcher> [<args...>]
//	@<name> "<expression>"
//	@<name> {
//		<matcher> [<args...>]
//		...
//	}
func (s *scope) define(definitions []caddyfile.Segment) error {
	own := make(map[string]bool)
	s.matchers = maps.Clone(s.matchers)
	if s.matchers == nil {
		s.matchers = make(map[string]caddy.ModuleMap)
	}
	for _, segment := range definitions {
		d := caddyfile.NewDispenser(segment)
		d.Next()
		name := d.Val()
		if name == "@" {
			return d.Err("a named matcher needs a name behind the @, as in @office")
		}
		if own[name] {
			return d.Errf("the matcher %s is defined twice in this block", name)
		}
		own[name] = true
		set, err := match.ParseSet(d, name[1:])
		if err != nil {
			return err
		}
		s.matchers[name] = set
	}
	return nil
}

// serverOption reads a directive that only a server has.
func (s *scope) serverOption(d *caddyfile.Dispenser, name string) error {
	switch name {
	case "advertise":
		return s.server.advertise(d)
	case "keepalive":
		return s.server.keepAlive(d)
	case "limits":
		return s.server.limits(d)
	case "log":
		return s.server.log(d)
	case "trust":
		return s.server.trust(d)
	case "handle_errors":
		return s.server.handleErrors(d, s)
	}
	return parseNamedRoute(d, s, s.server.named)
}

// directive reads one directive. Those that only a server has are no routes.
//
//	<directive> [<matcher>] [<args...>] [{
//		...
//	}]
func (s *scope) directive(segment caddyfile.Segment) (*module.Route, error) {
	d := caddyfile.NewDispenser(segment)
	d.Next()
	name := d.Val()
	if slices.Contains(serverOnly, name) || strings.HasPrefix(name, "&(") {
		if s.server == nil {
			return nil, d.Errf("%s belongs in the block of a server, not in another block there", name)
		}
		return nil, s.serverOption(d, name)
	}
	r := new(module.Route)
	if d.NextArg() {
		sets, ok, err := s.matcher(d)
		if err != nil {
			return nil, err
		}
		if r.MatcherSetsRaw = sets; ok {
			segment = slices.Delete(segment, 1, 2)
		}
	}
	d = caddyfile.NewDispenser(segment)
	d.Next()
	switch name {
	case "handle", "route":
		routes, err := s.inner(d, name)
		if err != nil {
			return nil, err
		}
		if name == "handle" {
			r.Group = name // groups end with the list of routes they are in
		}
		return r, s.add(r, "subroute", &module.Subroute{Routes: routes})
	case "invoke":
		return r, s.invoke(d, r)
	}
	return r, s.handler(d, name, r)
}

// matcher reports whether d stands at a matcher, and returns what it stands for.
func (s *scope) matcher(d *caddyfile.Dispenser) ([]caddy.ModuleMap, bool, error) {
	t := d.Token()
	switch {
	case t.Quoted():
		return nil, false, nil
	case t.Text == "*":
		return nil, true, nil
	case !strings.HasPrefix(t.Text, "@"):
		return nil, false, nil
	}
	set, ok := s.matchers[t.Text]
	if !ok {
		hint := "define it with " + t.Text + " <matcher> in this block or around it"
		if len(s.matchers) > 0 {
			hint = suggest.DidYouMean(t.Text, slices.Collect(maps.Keys(s.matchers)))
		}
		return nil, false, d.Errf("the matcher %s is not defined: %s", t.Text, hint)
	}
	return []caddy.ModuleMap{set}, true, nil
}

// invoke reads the directive that runs a named route.
//
//	invoke [<matcher>] <name>
func (s *scope) invoke(d *caddyfile.Dispenser, r *module.Route) error {
	if !d.NextArg() {
		return d.Err("invoke needs the name of a named route, as in invoke office")
	}
	s.invoked = append(s.invoked, d.Token())
	name := d.Val()
	if d.NextArg() {
		return d.Errf("invoke takes one name: found '%s' behind it", d.Val())
	}
	if err := directive.NoBlock(d, "invoke"); err != nil {
		return err
	}
	err := s.add(r, "invoke", &module.Invoke{Name: name})
	s.step.Named = name
	return err
}

// handler lets a handler module read its directive.
func (s *scope) handler(d *caddyfile.Dispenser, name string, r *module.Route) error {
	info, err := caddy.GetModule(handlers + "." + name)
	if err != nil || strings.Contains(name, ".") {
		return d.Errf("unrecognized SIP directive '%s': %s", name, suggest.DidYouMean(name, directiveNames()))
	}
	u, ok := info.New().(caddyfile.Unmarshaler)
	if !ok {
		return d.Errf("the handler '%s' cannot be written in a Caddyfile", name)
	}
	d.Reset()
	d.SetContext(scopeKey, s)
	if err := u.UnmarshalCaddyfile(d); err != nil {
		return directive.Locate(d, err)
	}
	switch {
	case !d.Next():
	case d.Val() == "{":
		return d.Errf("%s has no block", name)
	default:
		return d.Errf("%s takes no more: found '%s'", name, d.Val())
	}
	return s.add(r, name, u)
}

func directiveNames() []string {
	names := slices.Clone(builtin)
	for _, name := range moduleNames(handlers) {
		info, err := caddy.GetModule(handlers + "." + name)
		if err != nil {
			continue
		}
		if _, ok := info.New().(caddyfile.Unmarshaler); ok {
			names = append(names, name)
		}
	}
	return names
}

// addHandler adds a handler to a route.
func addHandler(r *module.Route, name string, h any) error {
	if _, ok := h.(module.Handler); !ok {
		return errors.New("the module " + name + " is not a SIP handler")
	}
	raw, err := moduleObject(h, "handler", name)
	r.HandlersRaw = append(r.HandlersRaw, raw)
	return err
}
