package match

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/wire"
)

func init() {
	caddy.RegisterModule(MatchURIUser{})
	caddy.RegisterModule(MatchURIHost{})
	caddy.RegisterModule(MatchFromUser{})
	caddy.RegisterModule(MatchFromHost{})
	caddy.RegisterModule(MatchToUser{})
	caddy.RegisterModule(MatchToHost{})
}

// MatchURIUser matches requests by the user part of the Request-URI, with its escapes decoded:
// patterns, case-sensitive.
type MatchURIUser []string

// MatchURIHost matches requests by the host of the Request-URI: patterns, case-insensitive.
type MatchURIHost []string

// MatchFromUser matches requests by the user part of the From URI, with its escapes decoded:
// patterns, case-sensitive. What stands there is the caller's claim; see the matcher authenticated.
type MatchFromUser []string

// MatchFromHost matches requests by the host of the From URI: patterns, case-insensitive.
type MatchFromHost []string

// MatchToUser matches requests by the user part of the To URI, with its escapes decoded: patterns,
// case-sensitive.
type MatchToUser []string

// MatchToHost matches requests by the host of the To URI: patterns, case-insensitive.
type MatchToHost []string

// CaddyModule returns the Caddy module information.
func (MatchURIUser) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.matchers.uri_user", New: func() caddy.Module { return new(MatchURIUser) }}
}

// CaddyModule returns the Caddy module information.
func (MatchURIHost) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.matchers.uri_host", New: func() caddy.Module { return new(MatchURIHost) }}
}

// CaddyModule returns the Caddy module information.
func (MatchFromUser) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.matchers.from_user", New: func() caddy.Module { return new(MatchFromUser) }}
}

// CaddyModule returns the Caddy module information.
func (MatchFromHost) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.matchers.from_host", New: func() caddy.Module { return new(MatchFromHost) }}
}

// CaddyModule returns the Caddy module information.
func (MatchToUser) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.matchers.to_user", New: func() caddy.Module { return new(MatchToUser) }}
}

// CaddyModule returns the Caddy module information.
func (MatchToHost) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.matchers.to_host", New: func() caddy.Module { return new(MatchToHost) }}
}

// Match implements module.Matcher.
func (m MatchURIUser) Match(r *module.Request) (bool, error) { return anyUser(r, m, r.URI()), nil }

// Match implements module.Matcher.
func (m MatchURIHost) Match(r *module.Request) (bool, error) { return anyHost(r, m, r.URI()), nil }

// Match implements module.Matcher.
func (m MatchFromUser) Match(r *module.Request) (bool, error) {
	_, u := r.From()
	return anyUser(r, m, &u), nil
}

// Match implements module.Matcher.
func (m MatchFromHost) Match(r *module.Request) (bool, error) {
	_, u := r.From()
	return anyHost(r, m, &u), nil
}

// Match implements module.Matcher.
func (m MatchToUser) Match(r *module.Request) (bool, error) {
	_, u := r.To()
	return anyUser(r, m, &u), nil
}

// Match implements module.Matcher.
func (m MatchToHost) Match(r *module.Request) (bool, error) {
	_, u := r.To()
	return anyHost(r, m, &u), nil
}

// Keys implements module.KeyedMatcher.
func (m MatchURIUser) Keys() (string, []string) { return "uri_user", literals(m) }

// AppendKey implements module.KeyedMatcher.
func (MatchURIUser) AppendKey(dst []byte, r *module.Request) []byte {
	return wire.AppendUnescaped(dst, r.URI().User)
}

// Keys implements module.KeyedMatcher.
func (m MatchURIHost) Keys() (string, []string) { return "uri_host", literalHosts(m) }

// AppendKey implements module.KeyedMatcher.
func (MatchURIHost) AppendKey(dst []byte, r *module.Request) []byte {
	return appendHost(dst, r.URI())
}

// Keys implements module.KeyedMatcher.
func (m MatchFromUser) Keys() (string, []string) { return "from_user", literals(m) }

// AppendKey implements module.KeyedMatcher.
func (MatchFromUser) AppendKey(dst []byte, r *module.Request) []byte {
	_, u := r.From()
	return wire.AppendUnescaped(dst, u.User)
}

// Keys implements module.KeyedMatcher.
func (m MatchFromHost) Keys() (string, []string) { return "from_host", literalHosts(m) }

// AppendKey implements module.KeyedMatcher.
func (MatchFromHost) AppendKey(dst []byte, r *module.Request) []byte {
	_, u := r.From()
	return appendHost(dst, &u)
}

// Keys implements module.KeyedMatcher.
func (m MatchToUser) Keys() (string, []string) { return "to_user", literals(m) }

// AppendKey implements module.KeyedMatcher.
func (MatchToUser) AppendKey(dst []byte, r *module.Request) []byte {
	_, u := r.To()
	return wire.AppendUnescaped(dst, u.User)
}

// Keys implements module.KeyedMatcher.
func (m MatchToHost) Keys() (string, []string) { return "to_host", literalHosts(m) }

// AppendKey implements module.KeyedMatcher.
func (MatchToHost) AppendKey(dst []byte, r *module.Request) []byte {
	_, u := r.To()
	return appendHost(dst, &u)
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
//
//	uri_user <patterns...>
func (m *MatchURIUser) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return list(d, m) }

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
//
//	uri_host <patterns...>
func (m *MatchURIHost) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return list(d, m) }

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
//
//	from_user <patterns...>
func (m *MatchFromUser) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return list(d, m) }

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
//
//	from_host <patterns...>
func (m *MatchFromHost) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return list(d, m) }

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
//
//	to_user <patterns...>
func (m *MatchToUser) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return list(d, m) }

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
//
//	to_host <patterns...>
func (m *MatchToHost) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return list(d, m) }

// Provision replaces global placeholders.
func (m MatchURIUser) Provision(caddy.Context) error { return module.ReplaceGlobalInPatterns(m) }

// Provision replaces global placeholders.
func (m MatchURIHost) Provision(caddy.Context) error { return module.ReplaceGlobalInPatterns(m) }

// Provision replaces global placeholders.
func (m MatchFromUser) Provision(caddy.Context) error { return module.ReplaceGlobalInPatterns(m) }

// Provision replaces global placeholders.
func (m MatchFromHost) Provision(caddy.Context) error { return module.ReplaceGlobalInPatterns(m) }

// Provision replaces global placeholders.
func (m MatchToUser) Provision(caddy.Context) error { return module.ReplaceGlobalInPatterns(m) }

// Provision replaces global placeholders.
func (m MatchToHost) Provision(caddy.Context) error { return module.ReplaceGlobalInPatterns(m) }

// Validate refuses an empty list.
func (m MatchURIUser) Validate() error { return validatePatterns(m) }

// Validate refuses an empty list and what is no host.
func (m MatchURIHost) Validate() error { return validateHosts(m) }

// Validate refuses an empty list.
func (m MatchFromUser) Validate() error { return validatePatterns(m) }

// Validate refuses an empty list and what is no host.
func (m MatchFromHost) Validate() error { return validateHosts(m) }

// Validate refuses an empty list.
func (m MatchToUser) Validate() error { return validatePatterns(m) }

// Validate refuses an empty list and what is no host.
func (m MatchToHost) Validate() error { return validateHosts(m) }

func validatePatterns(patterns []string) error {
	if len(patterns) == 0 {
		return errNoValues
	}
	return nil
}

func validateHosts(patterns []string) error {
	for _, p := range patterns {
		if u, err := wire.ParseURI([]byte("sip:" + p)); err == nil && u.Port != 0 {
			return fmt.Errorf("host %q has a port: leave it away", p)
		}
	}
	return validatePatterns(patterns)
}

// Interface guards
var (
	_ module.KeyedMatcher   = (*MatchURIUser)(nil)
	_ module.KeyedMatcher   = (*MatchURIHost)(nil)
	_ module.KeyedMatcher   = (*MatchFromUser)(nil)
	_ module.KeyedMatcher   = (*MatchFromHost)(nil)
	_ module.KeyedMatcher   = (*MatchToUser)(nil)
	_ module.KeyedMatcher   = (*MatchToHost)(nil)
	_ caddy.Provisioner     = (*MatchURIUser)(nil)
	_ caddy.Provisioner     = (*MatchURIHost)(nil)
	_ caddy.Provisioner     = (*MatchFromUser)(nil)
	_ caddy.Provisioner     = (*MatchFromHost)(nil)
	_ caddy.Provisioner     = (*MatchToUser)(nil)
	_ caddy.Provisioner     = (*MatchToHost)(nil)
	_ caddy.Validator       = (*MatchURIUser)(nil)
	_ caddy.Validator       = (*MatchURIHost)(nil)
	_ caddy.Validator       = (*MatchFromUser)(nil)
	_ caddy.Validator       = (*MatchFromHost)(nil)
	_ caddy.Validator       = (*MatchToUser)(nil)
	_ caddy.Validator       = (*MatchToHost)(nil)
	_ caddyfile.Unmarshaler = (*MatchURIUser)(nil)
	_ caddyfile.Unmarshaler = (*MatchURIHost)(nil)
	_ caddyfile.Unmarshaler = (*MatchFromUser)(nil)
	_ caddyfile.Unmarshaler = (*MatchFromHost)(nil)
	_ caddyfile.Unmarshaler = (*MatchToUser)(nil)
	_ caddyfile.Unmarshaler = (*MatchToHost)(nil)
)
