package admin

import (
	"github.com/caddysip/caddysip/internal/ban"
	"github.com/caddysip/caddysip/internal/events"
	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/snomkeys/delivery"
	"github.com/caddysip/caddysip/internal/snomkeys/keys"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/storage"
)

// api is the app in force, with what the API shows and changes of the engine behind it.
type api struct {
	app      *module.App
	bans     *ban.List
	location *location.Store
	keys     *keys.Store
	delivery *delivery.Delivery
	events   *events.Bus
	storage  storage.Engine
	inside   *inside.App
}

func newAPI(app *module.App) *api {
	in := inside.AppOf(app)
	e := in.Engine
	return &api{
		app:      app,
		bans:     e.Bans,
		location: e.Location,
		keys:     e.Keys,
		delivery: e.Delivery,
		events:   e.Events,
		storage:  e.Storage(),
		inside:   in,
	}
}

// parseAOR reads the address-of-record of a user, as registrations and keys have it. It need not be
// of a domain that is served: it may have been once.
func (a *api) parseAOR(text string) (string, error) {
	aor, _, err := a.app.ParseAOR(text)
	if err != nil {
		return "", badRequest("aor: %w", err)
	}
	return aor, nil
}

// ownAOR reads the address-of-record of one of our users, registered or not.
func (a *api) ownAOR(text string) (string, error) {
	aor, served, err := a.app.ParseAOR(text)
	switch {
	case err != nil:
		return "", badRequest("aor: %w", err)
	case !served:
		return "", badRequest("aor: %q is not of a domain that this server serves", text)
	}
	return aor, nil
}

// lookup returns the bindings of a user, nil when none of them is called.
func (a *api) lookup(aor string) []*location.Binding {
	all := a.location.All([]byte(aor), nil)
	if len(all) == 0 || all[0].Superseded() {
		return nil
	}
	return all
}
