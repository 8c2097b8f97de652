package match

import (
	"encoding/json"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/internal/directive"
	"github.com/caddysip/caddysip/internal/suggest"
	"github.com/caddysip/caddysip/module"
)

const namespace = "sip.matchers"

// ParseSet reads a set of matchers: what follows the current token on its line, or the block there.
//
//	<matcher> [<args...>]
//	"<expression>"
//	{
//		<matcher> [<args...>]
//		...
//	}
//
// name is the name of the set, without @. Regular expressions without a name of their own take it.
func ParseSet(d *caddyfile.Dispenser, name string) (caddy.ModuleMap, error) {
	if d.NextArg() {
		if d.Token().Quoted() && d.CountRemainingArgs() == 0 {
			t := d.Token().Clone()
			t.Text = "expression"
			return parseTokens([]string{t.Text}, map[string][]caddyfile.Token{t.Text: {t, d.Token()}}, name)
		}
		d.Prev()
	}
	// Lines with the same matcher are one matcher, which knows how to take them together.
	tokens := make(map[string][]caddyfile.Token)
	var order []string
	for nesting := d.Nesting(); d.NextArg() || d.NextBlock(nesting); {
		matcher := d.Val()
		if _, ok := tokens[matcher]; !ok {
			order = append(order, matcher)
		}
		tokens[matcher] = append(tokens[matcher], d.NextSegment()...)
	}
	if len(order) == 0 {
		return nil, d.Errf("%s has no matchers", d.Val())
	}
	return parseTokens(order, tokens, name)
}

func parseTokens(order []string, tokens map[string][]caddyfile.Token, name string) (caddy.ModuleMap, error) {
	set := make(caddy.ModuleMap)
	for _, matcher := range order {
		d := caddyfile.NewDispenser(tokens[matcher])
		d.SetContext(caddyfile.MatcherNameCtxKey, name)
		raw, err := parseMatcher(d, matcher)
		if err != nil {
			return nil, err
		}
		set[matcher] = raw
	}
	return set, nil
}

func parseMatcher(d *caddyfile.Dispenser, name string) (json.RawMessage, error) {
	d.Next()
	info, err := caddy.GetModule(namespace + "." + name)
	if err != nil || strings.Contains(name, ".") {
		return nil, d.Errf("unrecognized SIP matcher '%s': %s", name, suggest.DidYouMean(name, known()))
	}
	d.Prev()
	m := info.New()
	u, ok := m.(caddyfile.Unmarshaler)
	if _, matches := m.(module.Matcher); !ok || !matches {
		d.Next()
		return nil, d.Errf("the matcher '%s' cannot be written in a Caddyfile", name)
	}
	if err := u.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	return json.Marshal(u)
}

func known() []string {
	var names []string
	for _, m := range caddy.GetModules(namespace) {
		names = append(names, m.ID.Name())
	}
	return names
}

// list reads the arguments of all lines of a matcher whose JSON is a list; each line needs one.
//
//	<matcher> <values...>
func list[T ~[]string](d *caddyfile.Dispenser, values *T) error { return lines(d, values, 1) }

// optionalList is list for a matcher that need not have arguments. Without any, the list is empty,
// not nil, and no other line can add to it.
//
//	<matcher> [<values...>]
func optionalList[T ~[]string](d *caddyfile.Dispenser, values *T) error {
	*values = T{}
	return lines(d, values, 0)
}

// lines reads lines of as many arguments at least.
func lines[T ~[]string](d *caddyfile.Dispenser, values *T, least int) error {
	for n := 0; d.Next(); n++ {
		name := d.Val()
		args := d.RemainingArgs()
		switch {
		case len(args) < least:
			return d.Errf("%s needs at least one value", name)
		case n > 0 && (len(args) == 0 || len(*values) == 0):
			return d.Errf("%s is there twice, and without values it stands for all of them", name)
		}
		*values = append(*values, args...)
		if err := directive.NoBlock(d, name); err != nil {
			return err
		}
	}
	return nil
}
