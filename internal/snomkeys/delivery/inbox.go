package delivery

import (
	"slices"
	"sync"

	"github.com/caddysip/caddysip/internal/location"
)

// cause is why an address-of-record is reconciled. Of several the highest counts.
type cause uint8

const (
	registered cause = iota + 1
	changed
	again
)

// inbox holds the addresses-of-record that are to be reconciled, in the order in which they came,
// each once. It has a lock of its own, because it is filled on the path of packets.
type inbox struct {
	mu    sync.Mutex
	cause map[string]cause
	keys  map[string][]uint16 // that have changed, the newest first; nil for most
	order []string
	all   bool // all users are to be reconciled
}

// putAll asks for all users to be reconciled.
func (b *inbox) putAll() {
	b.mu.Lock()
	b.all = true
	b.mu.Unlock()
}

// inboxMax is how many addresses-of-record may wait. When there are more, all users are reconciled.
const inboxMax = 1 << 17

func (b *inbox) put(d *Delivery, aor string, c cause, keys ...int) {
	b.mu.Lock()
	if b.cause == nil {
		b.cause = make(map[string]cause)
	}
	before := b.cause[aor]
	if before == 0 && len(b.order) >= inboxMax {
		b.all = true
		b.mu.Unlock()
		d.wakeUp()
		return
	}
	if before == 0 {
		b.order = append(b.order, aor)
	}
	b.cause[aor] = max(before, c)
	if len(keys) > 0 {
		if b.keys == nil {
			b.keys = make(map[string][]uint16)
		}
		var room [maxRecent]uint16
		recent := room[:min(len(keys), maxRecent)]
		for i := range recent {
			recent[i] = uint16(keys[i])
		}
		b.keys[aor] = addRecent(recent, b.keys[aor])
	}
	b.mu.Unlock()
	d.wakeUp()
}

// take moves up to max items to dst. more reports whether there are more.
func (b *inbox) take(dst []inboxItem, max int) (_ []inboxItem, all, more bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(max, len(b.order))
	for _, aor := range b.order[:n] {
		dst = append(dst, inboxItem{aor, b.cause[aor], b.keys[aor]})
		delete(b.cause, aor)
		delete(b.keys, aor)
	}
	clear(b.order[:n])
	if b.order = b.order[n:]; len(b.order) == 0 {
		b.order, b.cause, b.keys = nil, nil, nil // none shrinks, and there may have been many
	}
	all, b.all = b.all, false
	return dst, all, len(b.order) > 0
}

type inboxItem struct {
	aor   string
	cause cause
	keys  []uint16
}

// inboxBatch is how many items are handled before messages that are due are sent.
const inboxBatch = 256

// readInbox handles what has come to the inbox. more reports whether there is more.
func (d *Delivery) readInbox() (more bool) {
	items, all, more := d.inbox.take(d.items[:0], inboxBatch)
	d.items = items
	if all {
		d.reconcileAll()
	}
	for _, i := range items {
		d.reconcile(i.aor, i.cause, i.keys...)
	}
	clear(items)
	return more
}

// reconcileAll reconciles all users who are registered, and those whom only this package knows.
func (d *Delivery) reconcileAll() {
	d.mu.Lock()
	aors := make([]string, 0, len(d.users))
	for aor := range d.users {
		aors = append(aors, aor)
	}
	d.mu.Unlock()
	slices.Sort(aors) // so that the same happens each time
	for _, aor := range aors {
		d.reconcile(aor, registered)
	}
	d.options.Location.Range("", 0, func(aor string, _ []*location.Binding) bool {
		d.mu.Lock()
		known := d.users[aor] != nil
		d.mu.Unlock()
		if !known {
			d.reconcile(aor, registered)
		}
		return true
	})
}
