package match

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/internal/globals"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/wire"
)

func init() {
	caddy.RegisterModule(MatchMethod{})
}

// MatchMethod matches requests by their method. Methods are case-sensitive (RFC 3261 §7.1).
type MatchMethod []string

// CaddyModule returns the Caddy module information.
func (MatchMethod) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.matchers.method", New: func() caddy.Module { return new(MatchMethod) }}
}

// Provision replaces placeholders.
func (m MatchMethod) Provision(caddy.Context) error { return globals.Texts(m) }

// Validate refuses what cannot be a method, and known methods in the wrong case.
func (m MatchMethod) Validate() error {
	if len(m) == 0 {
		return errNoValues
	}
	for _, method := range m {
		upper := strings.ToUpper(method)
		if upper != method && wire.LookupMethod([]byte(upper)) != wire.OtherMethod {
			return fmt.Errorf("method %q: methods are case-sensitive, write %s", method, upper)
		}
		if !wire.IsToken(method) {
			return fmt.Errorf("method %q is not a SIP method", method)
		}
	}
	return nil
}

var errNoValues = errors.New("at least one value is needed")

// Match implements module.Matcher.
func (m MatchMethod) Match(r *module.Request) (bool, error) {
	for _, method := range m {
		if r.Is(method) {
			return true, nil
		}
	}
	return false, nil
}

// Keys implements module.KeyedMatcher.
func (m MatchMethod) Keys() (string, []string) { return "method", m }

// AppendKey implements module.KeyedMatcher.
func (MatchMethod) AppendKey(dst []byte, r *module.Request) []byte {
	return append(dst, r.Message().MethodName()...)
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
//
//	method <methods...>
func (m *MatchMethod) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return list(d, m) }

// Interface guards
var (
	_ module.KeyedMatcher   = (*MatchMethod)(nil)
	_ caddy.Provisioner     = (*MatchMethod)(nil)
	_ caddy.Validator       = (*MatchMethod)(nil)
	_ caddyfile.Unmarshaler = (*MatchMethod)(nil)
)
