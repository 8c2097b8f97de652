package match

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/module"
)

func init() {
	caddy.RegisterModule(&MatchRemoteIP{})
	caddy.RegisterModule(MatchTransport{})
}

// MatchRemoteIP matches requests by the address the packet came from. What stands in Via is not looked at.
type MatchRemoteIP struct {
	// Addresses and ranges in CIDR notation. Placeholders are replaced when the configuration is loaded.
	Ranges []string `json:"ranges,omitempty"`

	prefixes []netip.Prefix
}

// privateRanges is what private_ranges stands for, the same as in Caddy's other matchers.
var privateRanges = []string{"192.168.0.0/16", "172.16.0.0/12", "10.0.0.0/8", "127.0.0.1/8", "fd00::/8", "::1"}

// CaddyModule returns the Caddy module information.
func (*MatchRemoteIP) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.matchers.remote_ip", New: func() caddy.Module { return new(MatchRemoteIP) }}
}

// Provision reads the ranges.
func (m *MatchRemoteIP) Provision(caddy.Context) error {
	if len(m.Ranges) == 0 {
		return errNoValues
	}
	repl := caddy.NewReplacer()
	for _, text := range m.Ranges {
		s, err := repl.ReplaceOrErr(text, true, true)
		if err != nil {
			return err
		}
		p, err := parseRange(s)
		if err != nil {
			return err
		}
		m.prefixes = append(m.prefixes, p)
	}
	return nil
}

func parseRange(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return p, fmt.Errorf("%q is neither an IP address nor a range of them, as in 10.0.0.0/8", s)
	}
	return p.Masked(), nil
}

// Match implements module.Matcher.
func (m *MatchRemoteIP) Match(r *module.Request) (bool, error) {
	addr := r.Source().Addr().Unmap().WithZone("")
	for _, p := range m.prefixes {
		if p.Contains(addr) {
			return true, nil
		}
	}
	return false, nil
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
	if i := slices.Index(m.Ranges, "private_ranges"); i >= 0 {
		m.Ranges = slices.Replace(m.Ranges, i, i+1, privateRanges...)
	}
	return nil
}

// MatchTransport matches requests by how they came: udp, tcp, tls, ws or wss.
type MatchTransport []string

// CaddyModule returns the Caddy module information.
func (MatchTransport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.matchers.transport", New: func() caddy.Module { return new(MatchTransport) }}
}

var transports = []string{"udp", "tcp", "tls", "ws", "wss"}

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
	_ caddy.Validator       = (*MatchTransport)(nil)
	_ caddyfile.Unmarshaler = (*MatchRemoteIP)(nil)
	_ caddyfile.Unmarshaler = (*MatchTransport)(nil)
)
