package module

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2"
)

// Route is a list of handlers and the requests they are for.
type Route struct {
	// Of the routes of one group, only the first that matches a request is run. Default: no group.
	Group string `json:"group,omitempty"`

	// The matchers a request must satisfy. All matchers of one set must match; one of the sets is
	// enough. Default: every request.
	MatcherSetsRaw []caddy.ModuleMap `json:"match,omitempty" caddy:"namespace=sip.matchers"`

	// The handlers, in order.
	HandlersRaw []json.RawMessage `json:"handle,omitempty" caddy:"namespace=sip.handlers inline_key=handler"`

	// Whether no later route is run when this one matched. Default: false.
	Terminal bool `json:"terminal,omitempty"`

	// Where in a Caddyfile the route is written, as file:line, for errors. It has no other effect.
	Source string `json:"source,omitempty"`

	match    []caddy.ModuleMap // MatcherSetsRaw, which is emptied when it is loaded
	sets     [][]Matcher
	handlers []namedHandler
}

type namedHandler struct {
	Handler
	name string
}

// RouteList is a list of routes, run in order.
type RouteList []*Route

// Provision loads the modules of all routes.
func (routes RouteList) Provision(ctx caddy.Context) error {
	for i, r := range routes {
		if err := r.provision(ctx); err != nil {
			return located(fmt.Errorf("route %d: %w", i, err), r.Source)
		}
	}
	return nil
}

func (r *Route) provision(ctx caddy.Context) error {
	r.match = r.MatcherSetsRaw
	sets, err := ctx.LoadModule(r, "MatcherSetsRaw")
	if err != nil {
		return fmt.Errorf("loading matcher modules: %w", err)
	}
	for _, set := range sets.([]map[string]any) {
		matchers, err := matcherSet(set)
		if err != nil {
			return err
		}
		r.sets = append(r.sets, matchers)
	}
	handlers, err := ctx.LoadModule(r, "HandlersRaw")
	if err != nil {
		return fmt.Errorf("loading handler modules: %w", err)
	}
	for _, h := range handlers.([]any) {
		handler, ok := h.(Handler)
		if !ok {
			return fmt.Errorf("module %T is not a SIP handler: it has no ServeSIP(ResponseWriter, *Request, Next) error", h)
		}
		named := namedHandler{handler, h.(caddy.Module).CaddyModule().ID.Name()}
		noteGuard(ctx, named)
		r.handlers = append(r.handlers, named)
	}
	return nil
}

// matcherSet orders the matchers of a set, so that which runs first does not change from load to
// load: those that an index may ask before, then by name.
func matcherSet(set map[string]any) ([]Matcher, error) {
	var matchers []Matcher
	for _, name := range slices.Sorted(maps.Keys(set)) {
		m, ok := set[name].(Matcher)
		if !ok {
			return nil, fmt.Errorf("module %T is not a SIP matcher: it has no Match(*Request) (bool, error)", set[name])
		}
		matchers = append(matchers, m)
	}
	slices.SortStableFunc(matchers, func(a, b Matcher) int { return cmp.Compare(rank(a), rank(b)) })
	return matchers, nil
}

func rank(m Matcher) int {
	if _, ok := m.(KeyedMatcher); ok {
		return 0
	}
	return 1
}

// group is the identity of a group in one list of routes, where it stands in one chain.
type group struct{ _ byte }

// Compile makes one function of the routes and what follows them. It is called when the
// configuration is loaded.
func (routes RouteList) Compile(next Next) (Next, error) {
	groups := make(map[string]*group)
	for _, r := range routes {
		if groups[r.Group] == nil && r.Group != "" {
			groups[r.Group] = new(group)
		}
	}
	index := newRouteIndex(routes)
	compiled := make([]Next, len(routes)+1) // from each route on
	compiled[len(routes)] = next
	rest := next
	for i, r := range slices.Backward(routes) {
		var err error
		if compiled[i], err = r.compile(rest, next, groups[r.Group]); err != nil {
			return nil, located(err, r.Source)
		}
		rest = compiled[i]
		if index != nil {
			rest = func(w ResponseWriter, req *Request) error {
				return compiled[index.next(req, i)](w, req)
			}
		}
	}
	return rest, nil
}

// compile makes one function of the route: rest is what follows it, end what follows all routes. g
// is nil without a group.
func (r *Route) compile(rest, end Next, g *group) (Next, error) {
	after := rest
	if r.Terminal {
		after = end
	}
	body, err := compileHandlers(r.handlers, after)
	if err != nil {
		return nil, err
	}
	if len(r.sets) == 0 && g == nil {
		return body, nil
	}
	sets := r.sets
	return func(w ResponseWriter, req *Request) error {
		if g != nil && slices.Contains(req.groups, g) {
			return rest(w, req)
		}
		if ok, err := matchAny(sets, req); err != nil {
			return err
		} else if !ok {
			return rest(w, req)
		}
		if g != nil {
			if req.groups == nil {
				req.groups = req.groupRoom[:0]
			}
			req.groups = append(req.groups, g)
		}
		return body(w, req)
	}, nil
}

func compileHandlers(handlers []namedHandler, next Next) (Next, error) {
	for _, h := range slices.Backward(handlers) {
		if c, ok := h.Handler.(Compiler); ok {
			var err error
			if next, err = c.Compile(next); err != nil {
				return nil, err
			}
			continue
		}
		following := next
		next = func(w ResponseWriter, r *Request) error {
			r.handler = h.name
			return h.ServeSIP(w, r, following)
		}
	}
	return next, nil
}

// matchAny reports whether one of the sets matches; no sets match everything.
func matchAny(sets [][]Matcher, r *Request) (bool, error) {
	for _, set := range sets {
		if ok, err := matchAll(set, r); ok || err != nil {
			return ok, err
		}
	}
	return len(sets) == 0, nil
}

func matchAll(set []Matcher, r *Request) (bool, error) {
	for _, m := range set {
		if ok, err := m.Match(r); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

// MatcherSets are loaded matchers, for modules that have matchers of their own, such as "not".
type MatcherSets [][]Matcher

// LoadMatcherSets loads the matchers in a field of a module that is tagged
// caddy:"namespace=sip.matchers".
func LoadMatcherSets(ctx caddy.Context, owner any, field string) (MatcherSets, error) {
	loaded, err := ctx.LoadModule(owner, field)
	if err != nil {
		return nil, fmt.Errorf("loading matcher modules: %w", err)
	}
	var sets MatcherSets
	for _, set := range loaded.([]map[string]any) {
		matchers, err := matcherSet(set)
		if err != nil {
			return nil, err
		}
		sets = append(sets, matchers)
	}
	return sets, nil
}

// Match reports whether one of the sets matches.
func (s MatcherSets) Match(r *Request) (bool, error) { return matchAny(s, r) }
