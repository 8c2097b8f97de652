package snomlrc

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/snomkeys/keys"
	"github.com/caddysip/caddysip/module"
)

// storeTime is how long a record may take to be stored.
const storeTime = 10 * time.Second

// managed returns the keys of the phone that calls about which layers say something, be it for
// another user there. It is nil if there are none, or the phone gets none.
func (h *SnomLRC) managed(caller *location.Binding) []keys.Effective {
	if caller == nil {
		return nil
	}
	e := h.in.Engine
	phone := keys.PhoneOf(caller.UserAgent())
	list := e.Keys.Effective(caller.AOR(), phone)
	for _, other := range e.Delivery.Beside(caller) {
		list = append(list, e.Keys.Effective(other, phone)...)
	}
	if len(list) == 0 || !e.Delivery.Serves(caller.UserAgent()) {
		return nil
	}
	return list
}

// record sets the key by a record in the event layer of the caller, and reports whether that is how
// it is set: where the phone has keys that layers say something about, whoever sets one does so
// there. Else what the phone shows would not be what everybody thinks it does, and it would lose the
// lamp when it starts anew. A key that is locked stays as it is.
func (h *SnomLRC) record(r *module.Request, l *light, caller *location.Binding, managed []keys.Effective) bool {
	if managed == nil {
		return false
	}
	aor := caller.AOR()
	b := h.button(&l.Light, func(text string) string { return oneLine(r.Replace(text)) })
	key, err := keys.ParseKey(b.Key)
	if err != nil {
		return false // one with a name is no layer's
	}
	for i := range managed {
		if k := &managed[i]; k.Key == key && k.Locked {
			refused.Inc()
			h.logger.Info("no lamp is set: the key is locked", zap.Stringer("phone", r.Source()),
				zap.String("aor", aor), zap.Int("key", key), zap.String("light", l.Light.Light))
			return true
		}
	}
	set := keys.Record{Key: key, Light: b.Light, Color: b.Color, Label: b.Label, Number: b.Number, Action: b.Action}
	if h.records.put(dialled{aor, caller.Contact()}, set) && !r.Background(module.PoolKeys, func() { h.store(dialled{aor, caller.Contact()}) }) {
		h.records.drop(dialled{aor, caller.Contact()})
		failed.Inc()
	}
	return true
}

// store stores what a phone has dialled, until there is nothing more.
func (h *SnomLRC) store(d dialled) {
	e := h.in.Engine
	e.Delivery.NotifyAnswered(d.aor, d.contact, true) // it calls, so it is there
	for set, ok := h.records.next(d); ok; set, ok = h.records.next(d) {
		if slices.ContainsFunc(e.Keys.Layer(d.aor, keys.Event), func(k keys.Stored) bool { return k.Record == set && k.Expires.IsZero() }) {
			// Who dials that again does not see it.
			e.Delivery.NotifyOverwritten(d.aor, d.contact, set.Key)
			continue
		}
		change := module.Key(set)
		ctx, cancel := context.WithTimeout(context.Background(), storeTime)
		err := h.app.SetKeys(ctx, module.KeyChange{AOR: d.aor, Layer: module.LayerEvent, Set: &change})
		cancel()
		if err != nil {
			failed.Inc()
			h.logger.Warn("no lamp is set: its record cannot be stored", zap.String("aor", d.aor), zap.Int("key", set.Key), zap.Error(err))
		}
	}
}

// dialled is who has dialled a light, and on which phone.
type dialled struct{ aor, contact string }

// records are what phones have dialled and is not stored yet: the last one of each key, since what is
// stored at a time may overtake.
type records struct {
	mu      sync.Mutex
	waiting map[dialled][]keys.Record // of those whose records are being stored
}

// put adds a record, and reports whether somebody must be found who stores it.
func (q *records) put(d dialled, set keys.Record) (idle bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting == nil {
		q.waiting = make(map[dialled][]keys.Record)
	}
	list, busy := q.waiting[d]
	list = slices.DeleteFunc(list, func(r keys.Record) bool { return r.Key == set.Key })
	q.waiting[d] = append(list, set)
	return !busy
}

// next takes the next record. When there is none, whoever asks is done.
func (q *records) next(d dialled) (set keys.Record, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := q.waiting[d]
	if len(list) == 0 {
		delete(q.waiting, d)
		return set, false
	}
	q.waiting[d] = list[1:]
	return list[0], true
}

// drop forgets what a phone has dialled.
func (q *records) drop(d dialled) {
	q.mu.Lock()
	delete(q.waiting, d)
	q.mu.Unlock()
}
