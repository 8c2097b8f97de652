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

// storeTimeout is how long a record may take to be stored.
const storeTimeout = 10 * time.Second

// managed returns the keys of the calling phone that layers have records of, for the caller or for
// another user of the phone. It is nil if there are none, or the phone gets no keys.
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

// setRecord sets the key by a record in the event layer of the caller, and reports whether that is
// how it is set: it is so on phones with managed keys. Otherwise the API would not know what the
// phone shows, and the lamp would be lost when the phone restarts. A locked key stays as it is.
func (h *SnomLRC) setRecord(
	r *module.Request, l *light, caller *location.Binding, managed []keys.Effective,
) bool {
	if managed == nil {
		return false
	}
	aor := caller.AOR()
	b := h.button(&l.Light, func(text string) string { return oneLine(r.Replace(text)) })
	key, err := keys.ParseKey(b.Key)
	if err != nil {
		return false // layers have no keys with names
	}
	for i := range managed {
		if k := &managed[i]; k.Key == key && k.Locked {
			refused.Inc()
			h.logger.Info("no lamp is set: the key is locked", zap.Stringer("phone", r.Source()),
				zap.String("aor", aor), zap.Int("key", key), zap.String("light", l.Light.Light))
			return true
		}
	}
	set := keys.Record{
		Key: key, Light: b.Light, Color: b.Color,
		Label: b.Label, Number: b.Number, Action: b.Action,
	}
	p := phone{aor, caller.Contact()}
	if h.records.put(p, set) && !r.Background(module.PoolKeys, func() { h.store(p) }) {
		h.records.drop(p)
		failed.Inc()
	}
	return true
}

// store stores the records that wait for a phone, until there are no more.
func (h *SnomLRC) store(p phone) {
	e := h.in.Engine
	e.Delivery.NotifyAnswered(p.aor, p.contact, true) // it calls, so it is there
	for set, ok := h.records.next(p); ok; set, ok = h.records.next(p) {
		same := func(k keys.Stored) bool { return k.Record == set && k.Expires.IsZero() }
		if slices.ContainsFunc(e.Keys.Layer(p.aor, keys.Event), same) {
			// A user who dials it again does not see it on the phone.
			e.Delivery.NotifyOverwritten(p.aor, p.contact, set.Key)
			continue
		}
		key := module.Key(set)
		change := module.KeyChange{AOR: p.aor, Layer: module.LayerEvent, Set: &key}
		ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
		err := h.app.SetKeys(ctx, change)
		cancel()
		if err != nil {
			failed.Inc()
			h.logger.Warn("no lamp is set: its record cannot be stored",
				zap.String("aor", p.aor), zap.Int("key", set.Key), zap.Error(err))
		}
	}
}

// phone is a user's phone.
type phone struct{ aor, contact string }

// recordQueue has the records that are to be stored, one goroutine a phone at a time: otherwise one
// might overtake another. Of each key only the last record is kept.
type recordQueue struct {
	mu      sync.Mutex
	waiting map[phone][]keys.Record // phones that have a goroutine
}

// put adds a record. idle reports whether the phone needs a goroutine to store it.
func (q *recordQueue) put(p phone, set keys.Record) (idle bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting == nil {
		q.waiting = make(map[phone][]keys.Record)
	}
	list, busy := q.waiting[p]
	list = slices.DeleteFunc(list, func(r keys.Record) bool { return r.Key == set.Key })
	q.waiting[p] = append(list, set)
	return !busy
}

// next takes the next record. When there is none, the phone's goroutine ends.
func (q *recordQueue) next(p phone) (set keys.Record, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := q.waiting[p]
	if len(list) == 0 {
		delete(q.waiting, p)
		return set, false
	}
	q.waiting[p] = list[1:]
	return list[0], true
}

// drop drops the records of a phone.
func (q *recordQueue) drop(p phone) {
	q.mu.Lock()
	delete(q.waiting, p)
	q.mu.Unlock()
}
