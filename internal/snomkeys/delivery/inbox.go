package delivery

import (
	"slices"
	"sync"

	"github.com/caddysip/caddysip/internal/location"
)

// cause is why an address-of-record is looked at. Of several the highest counts.
type cause uint8

const (
	registered cause = iota + 1
	changed
	again
)

// inbox holds the addresses-of-record that are to be looked at, in the order in which they came,
// each once. It has a lock of its own, because it is filled on the path of packets.
type inbox struct {
	mu    sync.Mutex
	cause map[string]cause
	keys  map[string][]uint16 // that have changed, the newest first; nil for most
	order []string
	all   bool // everybody is to be looked at
}

// everybody says that everybody is to be looked at.
func (b *inbox) everybody() {
	b.mu.Lock()
	b.all = true
	b.mu.Unlock()
}

// inboxMax is how many addresses-of-record wait to be looked at. When there are more, everybody is.
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
		var room [maxFresh]uint16
		fresh := room[:min(len(keys), maxFresh)]
		for i := range fresh {
			fresh[i] = uint16(keys[i])
		}
		b.keys[aor] = freshen(fresh, b.keys[aor])
	}
	b.mu.Unlock()
	d.wakeUp()
}

// take moves up to max of what has come to dst. more says that there is more.
func (b *inbox) take(dst []mail, max int) (_ []mail, all, more bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(max, len(b.order))
	for _, aor := range b.order[:n] {
		dst = append(dst, mail{aor, b.cause[aor], b.keys[aor]})
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

type mail struct {
	aor   string
	cause cause
	keys  []uint16
}

// mailBatch is how many are looked at before what is due is sent.
const mailBatch = 256

// readInbox looks at those that have come to the inbox. more says that there is more.
func (d *Delivery) readInbox() (more bool) {
	mails, all, more := d.inbox.take(d.mails[:0], mailBatch)
	d.mails = mails
	if all {
		d.reconcileAll()
	}
	for _, m := range mails {
		d.reconcile(m.aor, m.cause, m.keys...)
	}
	clear(mails)
	return more
}

// reconcileAll looks at everybody who is registered, and at those of whom only we know.
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
