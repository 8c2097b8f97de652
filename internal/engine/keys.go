package engine

import (
	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/events"
	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/snomkeys/keys"
)

// newKeys returns the store of what the keys of each user should show.
func (e *Engine) newKeys() *keys.Store {
	return keys.New(keys.Options{
		Budget:     e.Budget,
		Clock:      e.clock,
		OnChange:   e.keysChanged,
		Registered: e.eachRegistered,
		Logger:     e.Logger,
	})
}

// keysChanged is called when what the keys of an address-of-record should show may have changed. It
// must not block. list are those that have, as far as that is known.
func (e *Engine) keysChanged(aor string, list ...int) {
	if !e.starting.Load() {
		e.Events.PublishDescriber(events.KeyChanged, &changedKeys{e.Keys, aor})
	}
	e.Delivery.NotifyChanged(aor, list...)
}

// eachRegistered calls f with every address-of-record that has a binding.
func (e *Engine) eachRegistered(f func(aor string)) {
	e.Location.Range("", 0, func(aor string, _ []*location.Binding) bool {
		f(aor)
		return true
	})
}

// useKeys applies what g says about keys: their storage and their profiles. If the storage cannot
// be read, the keys in memory stay as they are. The caller holds e.mu.
func (e *Engine) useKeys(g *Generation) {
	if g == nil {
		_ = e.Keys.SwitchTo(nil)
		return
	}
	if err := e.Keys.SwitchTo(g.storage); err != nil {
		storageErrors.Inc()
		e.Logger().Error("the keys are those of another storage", zap.Error(err))
	}
	e.Keys.SetProfiles(g.Profiles, g.Models)
}

// SetProfiles changes the key profiles of a generation, at once if it is in force.
func (e *Engine) SetProfiles(g *Generation, list []keys.ProfileConfig) {
	e.mu.Lock()
	defer e.mu.Unlock()
	g.Profiles = list
	if n := len(e.stack); n > 0 && e.stack[n-1] == g {
		e.Keys.SetProfiles(g.Profiles, g.Models)
	}
}
