// Package vip is a matcher: requests of callers who are on a list.
package vip

import (
	"errors"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/wire"
)

func init() {
	caddy.RegisterModule(VIP{})
}

// VIP matches requests whose P-Asserted-Identity (RFC 3325), or else From, has one of these users.
// The former is believed of neighbours that the server trusts.
type VIP []string

// CaddyModule returns the Caddy module information.
func (VIP) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.matchers.vip", New: func() caddy.Module { return new(VIP) }}
}

// UnmarshalCaddyfile sets up the matcher from Caddyfile tokens. Syntax:
//
//	vip <users...>
func (m *VIP) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	for d.Next() {
		*m = append(*m, d.RemainingArgs()...)
	}
	return nil
}

// Validate refuses a list that is empty.
func (m VIP) Validate() error {
	if len(m) == 0 {
		return errors.New("at least one user is needed")
	}
	return nil
}

// Match implements module.Matcher.
func (m VIP) Match(r *module.Request) (bool, error) {
	_, uri := r.From()
	if r.Trusted() {
		if value := r.Header("P-Asserted-Identity"); value != nil {
			addr, err := wire.ParseNameAddr(value)
			if err != nil {
				return false, nil
			}
			if uri, err = wire.ParseURI(addr.URI); err != nil {
				return false, nil
			}
		}
	}
	return slices.Contains(m, string(uri.User)), nil
}

// Interface guards
var (
	_ caddy.Validator       = VIP{}
	_ caddyfile.Unmarshaler = (*VIP)(nil)
	_ module.Matcher        = VIP{}
)
