package match

import (
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/internal/globals"
	"github.com/caddysip/caddysip/internal/ipset"
	"github.com/caddysip/caddysip/module"
)

func init() {
	caddy.RegisterModule(&MatchRemoteIP{})
	caddy.RegisterModule(MatchTransport{})
}

// MatchRemoteIP matches requests by the address the packet came from. What stands in Via is not
// looked at.
type MatchRemoteIP struct {
	// Addresses and ranges in CIDR notation. Placeholders are replaced when the configuration is
	// loaded.
	Ranges []string `json:"ranges,omitempty"`

	set ipset.Set
}

// CaddyModule returns the Caddy module information.
func (*MatchRemoteIP) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.matchers.remote_ip", New: func() caddy.Module { return new(MatchRemoteIP) }}
}

// Provision reads the ranges.
func (m *MatchRemoteIP) Provision(caddy.Context) (err error) {
	if len(m.Ranges) == 0 {
		return errNoValues
	}
	m.set, err = ipset.Parse(m.Ranges)
	return err
}

// Match implements module.Matcher.
func (m *MatchRemoteIP) Match(r *module.Request) (bool, error) {
	return m.set.Contains(r.Source().Addr()), nil
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
//
//	remote_ip <ranges...>
//
// private_ranges stands for all private IPv4 and IPv6 ranges.
func (m *MatchRemoteIP) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if err := list(d, &m.Ranges); err != nil {
		return err
	}
	m.Ranges = ipset.Expand(m.Ranges)
	return nil
}

// MatchTransport matches requests by how they came: udp, tcp, tls, ws or wss.
type MatchTransport []string

// CaddyModule returns the Caddy module information.
func (MatchTransport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.matchers.transport", New: func() caddy.Module { return new(MatchTransport) }}
}

var transports = []string{"udp", "tcp", "tls", "ws", "wss"}

// Provision replaces placeholders.
func (m MatchTransport) Provision(caddy.Context) error { return globals.Texts(m) }

// Validate refuses what is no transport.
func (m MatchTransport) Validate() error {
	if len(m) == 0 {
		return errNoValues
	}
	for _, t := range m {
		if !slices.Contains(transports, t) {
			return fmt.Errorf("unknown transport %q: known are udp, tcp, tls, ws, wss", t)
		}
	}
	return nil
}

// Match implements module.Matcher.
func (m MatchTransport) Match(r *module.Request) (bool, error) {
	return slices.Contains(m, r.Transport()), nil
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
//
//	transport udp|tcp|tls|ws|wss...
func (m *MatchTransport) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return list(d, m) }

// Interface guards
var (
	_ module.Matcher        = (*MatchRemoteIP)(nil)
	_ module.Matcher        = (*MatchTransport)(nil)
	_ caddy.Provisioner     = (*MatchRemoteIP)(nil)
	_ caddy.Provisioner     = (*MatchTransport)(nil)
	_ caddy.Validator       = (*MatchTransport)(nil)
	_ caddyfile.Unmarshaler = (*MatchRemoteIP)(nil)
	_ caddyfile.Unmarshaler = (*MatchTransport)(nil)
)
