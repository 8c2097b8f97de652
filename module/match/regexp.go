package match

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/internal/directive"
	"github.com/caddysip/caddysip/internal/globals"
	"github.com/caddysip/caddysip/module"
)

func init() {
	caddy.RegisterModule(&MatchURIRegexp{})
}

// Regexp is a regular expression in RE2's syntax, and where its captures go:
// {sip.regexp.<name>.<group>} and, until another expression matches, {sip.regexp.<group>}, where
// group is a number or the name of a group; 0 is all that matched.
type Regexp struct {
	// The name of the captures. Default: only {sip.regexp.<group>}; in a Caddyfile the name of the
	// named matcher.
	Name string `json:"name,omitempty"`

	// The expression. It matches anywhere in the text unless it is anchored with ^ and $. Global
	// placeholders, such as {env.NAME}, are replaced by parts of it when the configuration is
	// loaded.
	Pattern string `json:"pattern"`

	compiled *regexp.Regexp
	keys     [][]string // the variables each group is kept in
}

func (re *Regexp) compile() error {
	if re.Pattern == "" {
		return fmt.Errorf("the regular expression is empty")
	}
	if strings.Contains(re.Name, "{") {
		return fmt.Errorf("the name %q of a regular expression: there are no placeholders in names",
			re.Name)
	}
	pattern, err := globals.Regexp(re.Pattern)
	if err != nil {
		return fmt.Errorf("regular expression %q: %w", re.Pattern, err)
	}
	compiled, err := regexp.Compile(pattern)
	if err != nil {
		return fmt.Errorf("regular expression %q: %w", re.Pattern, err)
	}
	re.compiled = compiled
	prefixes := []string{"regexp."}
	if re.Name != "" {
		prefixes = append(prefixes, "regexp."+re.Name+".")
	}
	for i, group := range compiled.SubexpNames() {
		var keys []string
		for _, prefix := range prefixes {
			keys = append(keys, prefix+strconv.Itoa(i))
			if group != "" {
				keys = append(keys, prefix+group)
			}
		}
		re.keys = append(re.keys, keys)
	}
	return nil
}

// match reports whether text matches, and keeps the captures.
func (re *Regexp) match(r *module.Request, text []byte) bool {
	groups := re.compiled.FindSubmatch(text)
	if groups == nil {
		return false
	}
	for i, group := range groups {
		value := string(group)
		for _, key := range re.keys[i] {
			r.SetVar(key, value)
		}
	}
	return true
}

// MatchURIRegexp matches requests by a regular expression over the whole Request-URI, as it is
// written.
type MatchURIRegexp struct{ Regexp }

// CaddyModule returns the Caddy module information.
func (*MatchURIRegexp) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.matchers.uri_regexp", New: func() caddy.Module { return new(MatchURIRegexp) }}
}

// Provision compiles the expression.
func (m *MatchURIRegexp) Provision(caddy.Context) error { return m.compile() }

// Match implements module.Matcher.
func (m *MatchURIRegexp) Match(r *module.Request) (bool, error) {
	return m.match(r, r.Message().RequestURI()), nil
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
//
//	uri_regexp [<name>] <regexp>
func (m *MatchURIRegexp) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume matcher name
	switch args := d.RemainingArgs(); len(args) {
	case 1:
		m.Name, m.Pattern = d.GetContextString(caddyfile.MatcherNameCtxKey), args[0]
	case 2:
		m.Name, m.Pattern = args[0], args[1]
	default:
		return d.Err("uri_regexp needs a regular expression, and may have a name before it, " +
			"as in uri_regexp ^sip:1")
	}
	if err := directive.NoBlock(d, "uri_regexp"); err != nil {
		return err
	}
	if d.Next() {
		return d.Err("uri_regexp can be in a set once: write one expression, or several named matchers")
	}
	return nil
}

// Interface guards
var (
	_ module.Matcher        = (*MatchURIRegexp)(nil)
	_ caddy.Provisioner     = (*MatchURIRegexp)(nil)
	_ caddyfile.Unmarshaler = (*MatchURIRegexp)(nil)
)
