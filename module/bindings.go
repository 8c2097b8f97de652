package module

import (
	"net/netip"
	"time"

	"github.com/caddysip/caddysip/internal/location"
)

// Binding is a Contact at which a user is registered (RFC 3261 §10), as it was when it was looked
// up.
type Binding struct {
	AOR       string // the address-of-record, user@domain
	Contact   string // the URI that the phone has registered
	CallID    string // of its latest REGISTER
	UserAgent string
	Instance  string // +sip.instance (RFC 5626 §4.1); empty: none
	Path      string // its values, separated by commas (RFC 3327); empty: none

	Transport string         // "udp", "tcp", "tls", "ws" or "wss"
	Source    netip.AddrPort // where the REGISTER came from

	Preference float64 // q, 0 to 1: who is called first (RFC 3261 §20.10)

	Registered time.Time // since when it has been there without a gap
	Updated    time.Time // when it was last refreshed
	Expires    time.Time // when it ends unless it is refreshed

	binding *location.Binding
}

// Bindings returns where a user is registered now, the highest preference first, and among equals
// the most recently refreshed. aor is canonical, as AppendAOR and ParseAOR write it.
func (a *App) Bindings(aor string) []Binding {
	var list []Binding
	for _, b := range a.engine.Location.Lookup([]byte(aor), nil) {
		list = append(list, a.bindingOf(b))
	}
	return list
}

// Registered reports whether a user is registered now. aor is canonical, as AppendAOR writes it.
func (a *App) Registered(aor []byte) bool { return a.engine.Location.Registered(aor) }

func (a *App) bindingOf(b *location.Binding) Binding {
	wall := a.engine.Location.WallTime
	return Binding{
		AOR: b.AOR(), Contact: b.Contact(), CallID: b.CallID(), UserAgent: b.UserAgent(),
		Instance: b.Instance(), Path: b.Path(),
		Transport: b.Network().String(), Source: b.Source(), Preference: float64(b.Q()) / 1000,
		Registered: wall(b.Registered()), Updated: wall(b.Updated()), Expires: wall(b.Expires()),
		binding: b,
	}
}
