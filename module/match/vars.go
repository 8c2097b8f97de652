package match

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/internal/directive"
	"github.com/caddysip/caddysip/module"
)

func init() {
	caddy.RegisterModule(MatchVars{})
}

// MatchVars matches requests by variables. The keys are names of variables or, in braces,
// placeholders; the values are compared as they are. All variables must match, each one of its
// values.
type MatchVars map[string][]string

// CaddyModule returns the Caddy module information.
func (MatchVars) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.matchers.vars", New: func() caddy.Module { return new(MatchVars) }}
}

// Match implements module.Matcher.
func (m MatchVars) Match(r *module.Request) (bool, error) {
	for key, values := range m {
		text := variable(r, key)
		if !slices.ContainsFunc(values, func(v string) bool { return r.Replace(v) == text }) {
			return false, nil
		}
	}
	return true, nil
}

func variable(r *module.Request, key string) string {
	if strings.HasPrefix(key, "{") {
		return r.Replace(key)
	}
	return caddy.ToString(r.Var(key))
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
//
//	vars <name>|<placeholder> <values...>
func (m *MatchVars) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if *m == nil {
		*m = make(MatchVars)
	}
	for d.Next() {
		args := d.RemainingArgs()
		if len(args) < 2 {
			return d.Err("vars needs the name of a variable, or a placeholder, and at least one " +
				"value, as in vars office berlin")
		}
		(*m)[args[0]] = append((*m)[args[0]], args[1:]...)
		if err := directive.NoBlock(d, "vars"); err != nil {
			return err
		}
	}
	return nil
}

// Interface guards
var (
	_ module.Matcher        = (*MatchVars)(nil)
	_ caddyfile.Unmarshaler = (*MatchVars)(nil)
)
