package engine

import (
	"time"

	"github.com/caddysip/caddysip/internal/events"
	"github.com/caddysip/caddysip/internal/keys"
	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/snom"
	"github.com/caddysip/caddysip/internal/wire"
)

// Bindings that came and went, as events have them. They are pointers and stay what they are until somebody reads the event: a phone's REGISTER pays for
// a place in a ring.
type (
	added   location.Binding
	removed location.Binding
	expired location.Binding
)

// Describe implements events.Describer.
func (b *added) Describe() map[string]any { return describeBinding((*location.Binding)(b)) }

// Describe implements events.Describer.
func (b *removed) Describe() map[string]any {
	m := describeBinding((*location.Binding)(b))
	delete(m, "expires")
	m["reason"] = "removed"
	return m
}

// Describe implements events.Describer.
func (b *expired) Describe() map[string]any {
	m := describeBinding((*location.Binding)(b))
	m["reason"] = "expired"
	return m
}

// describeBinding names things as the admin API does.
func describeBinding(b *location.Binding) map[string]any {
	m := map[string]any{
		"aor":       b.AOR(),
		"contact":   string(wire.WithoutPassword([]byte(b.Contact()))),
		"source":    b.Source().String(),
		"transport": b.Network().String(),
		"expires":   b.Expires().UTC().Format(time.RFC3339),
	}
	if text := b.UserAgent(); text != "" {
		m["user_agent"] = text
		if agent, ok := snom.ParseUserAgent(text); ok && agent.Model != "" {
			m["model"] = agent.Model
		}
	}
	return m
}

// changedKeys is a user whose keys have changed. The event has what they are to show when it is read.
type changedKeys struct {
	store *keys.Store
	aor   string
}

// Describe implements events.Describer.
func (c *changedKeys) Describe() map[string]any {
	list := c.store.Effective(c.aor, keys.Phone{})
	if list == nil {
		list = []keys.Effective{}
	}
	return map[string]any{"aor": c.aor, "keys": list}
}

// locationOptions are the hooks of the registrations.
func (e *Engine) locationOptions() location.Options {
	return location.Options{
		OnChange: e.registrations.Mark,
		OnMoved:  func(b *location.Binding) { e.Delivery.Registered(b.AOR()) },
		OnAdded: func(b *location.Binding) {
			e.Events.PublishDescriber(events.Registered, (*added)(b))
			e.Delivery.Registered(b.AOR())
		},
		OnRemoved: func(b *location.Binding) {
			e.Events.PublishDescriber(events.Unregistered, (*removed)(b))
			e.Delivery.Registered(b.AOR())
		},
		OnExpired: func(b *location.Binding) {
			e.Events.PublishDescriber(events.Unregistered, (*expired)(b))
			e.Delivery.Registered(b.AOR())
		},
	}
}

// Interface guards
var (
	_ events.Describer = (*added)(nil)
	_ events.Describer = (*removed)(nil)
	_ events.Describer = (*expired)(nil)
	_ events.Describer = (*changedKeys)(nil)
)
