package engine

import (
	"net/netip"
	"time"
	"unsafe"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/events"
	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/ratelog"
	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/internal/snomkeys/keys"
	"github.com/caddysip/caddysip/internal/snomkeys/snom"
	"github.com/caddysip/caddysip/wire"
)

// bindingEvent describes a binding that was added or removed. It copies what the event shows, and
// so keeps no binding in memory.
type bindingEvent struct {
	text    string    // AOR, Contact and User-Agent, one after the other
	ends    [2]uint16 // where AOR and Contact end in text
	network transport.Network
	source  netip.AddrPort
	expires int64  // seconds since 1970; 0: not shown
	reason  string // why it was removed; empty: it was added
}

// publish publishes an event about a binding. reason is why it was removed, empty if it was added.
func (e *Engine) publish(typ string, b *location.Binding, reason string) {
	d := &bindingEvent{
		network: b.Network(),
		source:  b.Source(),
		expires: e.Location.WallTime(b.Expires()).Unix(),
		reason:  reason,
	}
	if reason == removed || reason == replaced {
		d.expires = 0
	}
	var room [3 * events.MaxText]byte
	text := wire.AppendPrintable(room[:0], b.AOR(), events.MaxText)
	d.ends[0] = uint16(len(text))
	text = wire.AppendPrintable(text, wire.WithoutPassword([]byte(b.Contact())), events.MaxText)
	d.ends[1] = uint16(len(text))
	text = wire.AppendPrintable(text, b.UserAgent(), events.MaxText)
	d.text = string(text)
	e.Events.PublishDescriber(typ, d)
}

// Reasons why a binding was removed.
const (
	removed  = "removed"
	expired  = "expired"
	replaced = "replaced" // its device has another Contact now, or there were too many
)

// Describe implements events.Describer. It names the fields as the admin API does.
func (d *bindingEvent) Describe() map[string]any {
	m := map[string]any{
		"aor":       d.text[:d.ends[0]],
		"contact":   d.text[d.ends[0]:d.ends[1]],
		"source":    d.source.String(),
		"transport": d.network.String(),
	}
	if d.expires != 0 {
		m["expires"] = time.Unix(d.expires, 0).UTC().Format(time.RFC3339)
	}
	if d.reason != "" {
		m["reason"] = d.reason
	}
	if text := d.text[d.ends[1]:]; text != "" {
		m["user_agent"] = text
		if agent, ok := snom.ParseUserAgent(text); ok && agent.Model != "" {
			m["model"] = agent.Model
		}
	}
	return m
}

// Size implements events.Describer.
func (d *bindingEvent) Size() int { return int(unsafe.Sizeof(*d)) + len(d.text) }

// changedKeys is the event that the keys of a user have changed. It shows what the keys show when
// the event is read, not when it was published.
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

// Size implements events.Describer.
func (c *changedKeys) Size() int { return int(unsafe.Sizeof(*c)) + len(c.aor) }

// locationOptions returns the hooks through which the registrations are saved, published as events,
// and followed by the delivery of keys.
func (e *Engine) locationOptions() location.Options {
	return location.Options{
		Budget:   e.Budget,
		Clock:    e.clock,
		OnChange: e.registrations.Mark,
		OnMoved:  func(b *location.Binding) { e.Delivery.NotifyRegistered(b.AOR()) },
		OnAdded: func(b *location.Binding) {
			e.publish(events.Registered, b, "")
			e.Delivery.NotifyRegistered(b.AOR())
		},
		OnRemoved: func(b *location.Binding, inPlace bool) {
			reason := removed
			if inPlace {
				reason = replaced
			}
			e.unregistered(b, reason)
		},
		OnExpired:   func(b *location.Binding) { e.unregistered(b, expired) },
		OnConfirmed: e.confirmed,
	}
}

// unregistered is called when a binding has ended. If it was superseded before, its end was
// published then.
func (e *Engine) unregistered(b *location.Binding, reason string) {
	if !b.Superseded() {
		e.publish(events.Unregistered, b, reason)
	}
	e.Delivery.NotifyRegistered(b.AOR())
}

var confirmedLog = ratelog.Gate{Interval: time.Minute}

// confirmed logs that a phone is still there although it seemed to have another Contact.
func (e *Engine) confirmed(b *location.Binding) {
	confirmedLog.Log(e.Logger(), zap.InfoLevel,
		"two phones look like one, and both are called: they have one instance, or one address "+
			"and the same Contact",
		zap.String("aor", b.AOR()),
		zap.String("contact", string(wire.WithoutPassword([]byte(b.Contact())))),
		zap.Stringer("source", b.Source()),
		zap.String("instance", b.Instance()),
		zap.String("user_agent", b.UserAgent()))
}

// Interface guards
var (
	_ events.Describer = (*bindingEvent)(nil)
	_ events.Describer = (*changedKeys)(nil)
)
