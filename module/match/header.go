package match

import (
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/internal/directive"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/wire"
)

func init() {
	caddy.RegisterModule(MatchUserAgent{})
	caddy.RegisterModule(MatchHeader{})
	caddy.RegisterModule(MatchHeaderRegexp{})
}

// MatchUserAgent matches requests by their User-Agent: patterns, case-insensitive. A request
// without one doesn't match.
type MatchUserAgent []string

// CaddyModule returns the Caddy module information.
func (MatchUserAgent) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.matchers.user_agent", New: func() caddy.Module { return new(MatchUserAgent) }}
}

// Provision replaces global placeholders.
func (m MatchUserAgent) Provision(caddy.Context) error { return module.ReplaceGlobalInPatterns(m) }

// Validate refuses an empty list.
func (m MatchUserAgent) Validate() error { return validatePatterns(m) }

// Match implements module.Matcher.
func (m MatchUserAgent) Match(r *module.Request) (bool, error) {
	agent := r.Message().Header(wire.UserAgent)
	return agent != nil && r.MatchesAny(m, agent, true), nil
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
//
//	user_agent <patterns...>
func (m *MatchUserAgent) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return list(d, m) }

// MatchHeader matches requests by their header fields. The keys are field names, in their long or
// compact form and any case; the values are patterns, case-sensitive. All fields must match, each
// by one of its patterns in one of its lines or one of the values of a comma-separated list. An
// empty list matches a field that is there, and null one that is not.
type MatchHeader map[string][]string

// CaddyModule returns the Caddy module information.
func (MatchHeader) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.matchers.header", New: func() caddy.Module { return new(MatchHeader) }}
}

// Provision replaces global placeholders in the patterns.
func (m MatchHeader) Provision(caddy.Context) error {
	for _, patterns := range m {
		if err := module.ReplaceGlobalInPatterns(patterns); err != nil {
			return err
		}
	}
	return nil
}

// Validate refuses what is no field name.
func (m MatchHeader) Validate() error {
	if len(m) == 0 {
		return errNoValues
	}
	for name := range m {
		if !wire.IsToken(name) {
			return fmt.Errorf("%q is not the name of a header field", name)
		}
	}
	return nil
}

// Match implements module.Matcher.
func (m MatchHeader) Match(r *module.Request) (bool, error) {
	for name, patterns := range m {
		if !matchField(r, name, patterns) {
			return false, nil
		}
	}
	return true, nil
}

func matchField(r *module.Request, name string, patterns []string) bool {
	lines := r.Message().Lines(name)
	if len(patterns) == 0 {
		return lines.Next() == (patterns != nil)
	}
	for lines.Next() {
		line := lines.Value()
		if r.MatchesAny(patterns, line, false) {
			return true
		}
		for value, rest := wire.CutValue(line); len(value) < len(line); value, rest = wire.CutValue(rest) {
			if r.MatchesAny(patterns, value, false) {
				return true
			}
			if len(rest) == 0 {
				break
			}
		}
	}
	return false
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
//
//	header <name> [<patterns...>]
//	header !<name>
//
// A name alone matches a field that is there, and with an exclamation mark one that is not.
func (m *MatchHeader) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if *m == nil {
		*m = make(MatchHeader)
	}
	for d.Next() {
		args := d.RemainingArgs()
		if len(args) == 0 {
			return d.Err("header needs the name of a header field, as in header Priority emergency")
		}
		name, absent := strings.CutPrefix(args[0], "!")
		name = wire.CanonicalHeader(name)
		if !wire.IsToken(name) {
			return d.Errf("'%s' is not the name of a header field", name)
		}
		patterns, known := (*m)[name]
		switch {
		case absent && len(args) > 1:
			return d.Errf("header !%s means that there is no such field: it can't have values", name)
		case known && absent != (patterns == nil):
			return d.Errf("the header field %s can't be both there and not there", name)
		case known && (len(args) == 1) != (len(patterns) == 0):
			return d.Errf("header %s without values says nothing beside %s with values", name, name)
		case absent:
			(*m)[name] = nil
		default:
			(*m)[name] = append(append([]string{}, patterns...), args[1:]...)
		}
		if err := directive.NoBlock(d, "header"); err != nil {
			return err
		}
	}
	return nil
}

// MatchHeaderRegexp matches requests by regular expressions over header fields. The keys are field
// names, in their long or compact form and any case. All fields must match, each in one of its
// lines.
type MatchHeaderRegexp map[string]*Regexp

// CaddyModule returns the Caddy module information.
func (MatchHeaderRegexp) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.matchers.header_regexp", New: func() caddy.Module { return new(MatchHeaderRegexp) }}
}

// Provision compiles the expressions.
func (m MatchHeaderRegexp) Provision(caddy.Context) error {
	if len(m) == 0 {
		return errNoValues
	}
	for name, re := range m {
		if !wire.IsToken(name) {
			return fmt.Errorf("%q is not the name of a header field", name)
		}
		if re == nil {
			return fmt.Errorf("header field %s has no regular expression", name)
		}
		if err := re.compile(); err != nil {
			return fmt.Errorf("header field %s: %w", name, err)
		}
	}
	return nil
}

// Match implements module.Matcher.
func (m MatchHeaderRegexp) Match(r *module.Request) (bool, error) {
	for name, re := range m {
		if !re.matchLines(r, name) {
			return false, nil
		}
	}
	return true, nil
}

func (re *Regexp) matchLines(r *module.Request, name string) bool {
	for lines := r.Message().Lines(name); lines.Next(); {
		if re.match(r, lines.Value()) {
			return true
		}
	}
	return false
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
//
//	header_regexp [<name>] <field> <regexp>
func (m *MatchHeaderRegexp) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if *m == nil {
		*m = make(MatchHeaderRegexp)
	}
	for d.Next() {
		args := d.RemainingArgs()
		name := d.GetContextString(caddyfile.MatcherNameCtxKey)
		if len(args) == 3 {
			name, args = args[0], args[1:]
		}
		if len(args) != 2 {
			return d.Err("header_regexp needs the name of a header field and a regular " +
				"expression, and may have a name before them, as in header_regexp Subject ^urgent")
		}
		field := wire.CanonicalHeader(args[0])
		if (*m)[field] != nil {
			return d.Errf("header_regexp can be in a set once for each header field: %s is there already", field)
		}
		(*m)[field] = &Regexp{Name: name, Pattern: args[1]}
		if err := directive.NoBlock(d, "header_regexp"); err != nil {
			return err
		}
	}
	return nil
}

// Interface guards
var (
	_ module.Matcher        = (*MatchUserAgent)(nil)
	_ module.Matcher        = (*MatchHeader)(nil)
	_ module.Matcher        = (*MatchHeaderRegexp)(nil)
	_ caddy.Provisioner     = (*MatchUserAgent)(nil)
	_ caddy.Provisioner     = (*MatchHeader)(nil)
	_ caddy.Validator       = (*MatchUserAgent)(nil)
	_ caddy.Validator       = (*MatchHeader)(nil)
	_ caddy.Provisioner     = (*MatchHeaderRegexp)(nil)
	_ caddyfile.Unmarshaler = (*MatchUserAgent)(nil)
	_ caddyfile.Unmarshaler = (*MatchHeader)(nil)
	_ caddyfile.Unmarshaler = (*MatchHeaderRegexp)(nil)
)
