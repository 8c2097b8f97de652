package match

import (
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/internal/globals"
	"github.com/caddysip/caddysip/module"
)

func init() {
	caddy.RegisterModule(MatchKeyPressed{})
}

// MatchKeyPressed matches the message that a phone sends when a key is pressed whose action is
// message: of these keys or, with none, of any. The phone must be registered from where the message
// comes, or have authenticated. A message that the phone sends again, because it missed the answer,
// does not match, and is answered again.
type MatchKeyPressed []string

// CaddyModule returns the Caddy module information.
func (MatchKeyPressed) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.matchers.key_pressed", New: func() caddy.Module { return new(MatchKeyPressed) }}
}

// Provision replaces placeholders.
func (m MatchKeyPressed) Provision(caddy.Context) error { return globals.Texts(m) }

// Match implements module.Matcher.
func (m MatchKeyPressed) Match(r *module.Request) (bool, error) {
	p := r.KeyPress()
	if p == nil || p.Again {
		return false, nil
	}
	return len(m) == 0 || slices.Contains(m, p.Key), nil
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
//
//	key_pressed [<keys...>]
func (m *MatchKeyPressed) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return optionalList(d, m)
}

// Interface guards
var (
	_ module.Matcher        = MatchKeyPressed(nil)
	_ caddy.Provisioner     = (*MatchKeyPressed)(nil)
	_ caddyfile.Unmarshaler = (*MatchKeyPressed)(nil)
)
