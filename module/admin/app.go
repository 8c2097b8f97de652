package admin

import (
	"strings"

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
}

func newAPI(app *module.App) *api {
	e := inside.AppOf(app).Engine
	return &api{
		app:      app,
		bans:     e.Bans,
		location: e.Location,
		keys:     e.Keys,
		delivery: e.Delivery,
		events:   e.Events,
		storage:  e.Storage(),
	}
}

// parseAOR reads an address-of-record, written as user or user@domain, as registrations have it. A
// user alone is one of the first domain.
func (a *api) parseAOR(text string) ([]byte, error) {
	aor, _, err := a.readAOR(text)
	return aor, err
}

// ownAOR reads the address-of-record of one of our users, registered or not.
func (a *api) ownAOR(text string) (string, error) {
	aor, own, err := a.readAOR(text)
	if err == nil && !own {
		err = badRequest("aor: %q is not of a domain that this server serves", text)
	}
	return string(aor), err
}

func (a *api) readAOR(text string) (aor []byte, own bool, err error) {
	primary := a.app.PrimaryDomain()
	user, host := text, primary
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		user, host = text[:at], text[at+1:]
	}
	u, err := module.ParseURI(module.AddressURI(user + "@" + host))
	if err != nil || user == "" || u.Params != nil || u.Headers != nil {
		return nil, false, badRequest("aor: %q is no address-of-record: it is user or user@domain", text)
	}
	if aor, own = a.app.AppendAOR(nil, &u); !own {
		aor = u.AppendAOR(nil) // of a domain that was served once
	}
	return aor, own || strings.EqualFold(host, primary), nil
}
