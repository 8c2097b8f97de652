package engine

import (
	"slices"

	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/metrics"
	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/internal/snomkeys/buttons"
	"github.com/caddysip/caddysip/internal/snomkeys/delivery"
	"github.com/caddysip/caddysip/internal/snomkeys/keys"
	"github.com/caddysip/caddysip/wire"
)

var keyPushes = metrics.Counters(
	"key_pushes_total",
	"Messages that set keys of phones, by outcome.",
	"outcome",
)

// newDelivery returns what delivers the keys to the phones.
func (e *Engine) newDelivery() *delivery.Delivery {
	return delivery.New(delivery.Options{
		Budget:   e.Budget,
		Clock:    e.clock,
		Location: e.Location,
		Client:   e.UAC,
		Wanted: func(aor, userAgent string, f func(int, buttons.Button)) {
			for _, k := range e.Keys.Effective(aor, keys.PhoneOf(userAgent)) {
				f(k.Key, k.Button())
			}
		},
		Flow: e.FlowToPhone,
		Path: func(b *location.Binding) []byte {
			path, _ := e.PathTo(b)
			return path
		},
		Heard:  e.MarkHeard,
		Emit:   e.Events.Publish,
		Count:  func(outcome string) { keyPushes.WithLabelValues(outcome).Inc() },
		Logger: e.Logger,
		Failed: storageErrors.Inc,
	})
}

// FlowToPhone returns the flow that a phone registered over, and the host and port at which it can
// reach us, for Via and Contact. ok is false when its connection has closed, or when no
// configuration is in force. It opens no connection.
func (e *Engine) FlowToPhone(b *location.Binding) (
	f transport.Flow, sentBy wire.HostPort, ok bool,
) {
	g := e.current.Load()
	if g == nil {
		return f, sentBy, false // no listener to send from
	}
	f = b.Flow()
	switch {
	case f.Network.Reliable():
		ok = !b.FlowFailed()
	case f.Listener != nil && slices.Contains(g.Listeners, f.Listener):
		f, ok = f.Listener.FlowFrom(f.Remote, f.Local), true
	default:
		// The binding was restored from the storage, or its listener has closed. The listener that
		// covers the address which the phone registered at is the one whose answers its NAT lets
		// in.
		i := slices.IndexFunc(g.Listeners, func(l *transport.Listener) bool {
			return l.Network() == f.Network && l.Covers(f.Local)
		})
		var preferred *transport.Listener
		if i >= 0 {
			preferred = g.Listeners[i]
		}
		f, ok = e.FlowTo(g, f.Network, f.Remote, preferred, f.Local)
	}
	return f, g.SentBy(f), ok
}

// useDelivery applies what g says about the delivery of keys. It comes last: whatever a phone lacks
// by then is sent. The caller holds e.mu.
func (e *Engine) useDelivery(g *Generation) {
	if g == nil {
		e.Delivery.Use(nil)
		return
	}
	e.Delivery.Configure(g.Delivery)
	e.Delivery.Use(g.storage)
}
