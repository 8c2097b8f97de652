package match

import (
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/internal/directive"
	"github.com/caddysip/caddysip/module"
)

func init() {
	caddy.RegisterModule(MatchInDialog{})
	caddy.RegisterModule(&MatchRegistered{})
	caddy.RegisterModule(MatchAuthenticated{})
}

// MatchInDialog matches requests that belong to a dialog: To has a tag (RFC 3261 §12.2).
type MatchInDialog struct{}

// CaddyModule returns the Caddy module information.
func (MatchInDialog) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.matchers.in_dialog", New: func() caddy.Module { return new(MatchInDialog) }}
}

// Match implements module.Matcher.
func (MatchInDialog) Match(r *module.Request) (bool, error) { return r.InDialog(), nil }

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
//
//	in_dialog
func (*MatchInDialog) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume matcher name
	if d.NextArg() {
		return d.Errf("in_dialog has no arguments, but there is '%s'", d.Val())
	}
	if err := directive.NoBlock(d, "in_dialog"); err != nil {
		return err
	}
	if d.Next() {
		return d.Err("in_dialog is there twice")
	}
	return nil
}

// MatchRegistered matches requests for somebody who is registered now: the address-of-record that
// the Request-URI names is at a domain served here and has a binding.
type MatchRegistered struct {
	// Look at the From URI, at who calls, instead. Default: false.
	From bool `json:"from,omitempty"`

	app *module.App
}

// CaddyModule returns the Caddy module information.
func (*MatchRegistered) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.matchers.registered", New: func() caddy.Module { return new(MatchRegistered) }}
}

// Provision finds the registrations.
func (m *MatchRegistered) Provision(ctx caddy.Context) (err error) {
	m.app, err = module.AppFrom(ctx)
	return err
}

// Match implements module.Matcher.
func (m *MatchRegistered) Match(r *module.Request) (bool, error) {
	u := *r.URI()
	if m.From {
		_, u = r.From()
	}
	var buf [128]byte
	aor, _ := m.app.AppendAOR(buf[:0], &u) // what is not ours has no binding
	return m.app.Registered(aor), nil
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
//
//	registered [from]
func (m *MatchRegistered) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume matcher name
	if d.NextArg() {
		if m.From = d.Val() == "from"; !m.From {
			return d.Errf("registered takes 'from' or nothing, not '%s'", d.Val())
		}
	}
	if d.NextArg() {
		return d.Errf("registered takes 'from' or nothing, but there is '%s' too", d.Val())
	}
	if err := directive.NoBlock(d, "registered"); err != nil {
		return err
	}
	if d.Next() {
		return d.Err("registered can be in a set once: use two named matchers")
	}
	return nil
}

// MatchAuthenticated matches requests with checked credentials, and with names, those of one of
// these users. With none, any user's.
type MatchAuthenticated []string

// CaddyModule returns the Caddy module information.
func (MatchAuthenticated) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.matchers.authenticated", New: func() caddy.Module { return new(MatchAuthenticated) }}
}

// Match implements module.Matcher.
func (m MatchAuthenticated) Match(r *module.Request) (bool, error) {
	user := r.AuthUser()
	if user == "" || len(m) == 0 {
		return user != "", nil
	}
	return slices.ContainsFunc(m, func(name string) bool { return r.Replace(name) == user }), nil
}

// Keys implements module.KeyedMatcher.
func (m MatchAuthenticated) Keys() (string, []string) {
	if len(m) == 0 {
		return "authenticated", nil // anybody
	}
	return "authenticated", literals(m)
}

// AppendKey implements module.KeyedMatcher.
func (MatchAuthenticated) AppendKey(dst []byte, r *module.Request) []byte {
	return append(dst, r.AuthUser()...)
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
//
//	authenticated [<users...>]
func (m *MatchAuthenticated) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return optionalList(d, m)
}

// Interface guards
var (
	_ module.Matcher        = (*MatchInDialog)(nil)
	_ module.Matcher        = (*MatchRegistered)(nil)
	_ module.KeyedMatcher   = (*MatchAuthenticated)(nil)
	_ caddy.Provisioner     = (*MatchRegistered)(nil)
	_ caddyfile.Unmarshaler = (*MatchInDialog)(nil)
	_ caddyfile.Unmarshaler = (*MatchRegistered)(nil)
	_ caddyfile.Unmarshaler = (*MatchAuthenticated)(nil)
)
