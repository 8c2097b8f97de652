package match

import (
	"encoding/json"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/module"
)

func init() {
	caddy.RegisterModule(&MatchNot{})
}

// MatchNot matches requests that none of its matcher sets matches. In JSON it is the list of these
// sets.
type MatchNot struct {
	// The sets.
	MatcherSetsRaw []caddy.ModuleMap `json:"-" caddy:"namespace=sip.matchers"`

	sets module.MatcherSets
}

// CaddyModule returns the Caddy module information.
func (*MatchNot) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.matchers.not", New: func() caddy.Module { return new(MatchNot) }}
}

// UnmarshalJSON reads the list of sets.
func (m *MatchNot) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, &m.MatcherSetsRaw) }

// MarshalJSON writes the list of sets.
func (m *MatchNot) MarshalJSON() ([]byte, error) { return json.Marshal(m.MatcherSetsRaw) }

// Provision loads the matchers.
func (m *MatchNot) Provision(ctx caddy.Context) (err error) {
	m.sets, err = module.LoadMatcherSets(ctx, m, "MatcherSetsRaw")
	if err == nil && len(m.sets) == 0 {
		err = errNoValues
	}
	return err
}

// Match implements module.Matcher.
func (m *MatchNot) Match(r *module.Request) (bool, error) {
	ok, err := m.sets.Match(r)
	return !ok && err == nil, err
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler.
//
//	not <matcher> [<args...>]
//	not {
//		<matcher> [<args...>]
//		...
//	}
//
// Matchers in one block are negated together: the request is refused when all of them match.
func (m *MatchNot) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	for d.Next() {
		set, err := ParseSet(d, d.GetContextString(caddyfile.MatcherNameCtxKey))
		if err != nil {
			return err
		}
		m.MatcherSetsRaw = append(m.MatcherSetsRaw, set)
	}
	return nil
}

// Interface guards
var (
	_ module.Matcher        = (*MatchNot)(nil)
	_ caddy.Provisioner     = (*MatchNot)(nil)
	_ caddyfile.Unmarshaler = (*MatchNot)(nil)
	_ json.Unmarshaler      = (*MatchNot)(nil)
	_ json.Marshaler        = (*MatchNot)(nil)
)
