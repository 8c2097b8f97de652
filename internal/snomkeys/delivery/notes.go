package delivery

import (
	"time"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/ratelog"
	"github.com/caddysip/caddysip/wire"
)

// condition is what the log has said about a phone.
type condition uint8

const (
	healthy condition = iota
	badRetrying
	badRefused
	badUnsupported
	badUnreachable
)

// What the log says of each.
var conditionTexts = [...]string{
	healthy:        "a phone has all its keys again",
	badRetrying:    "a phone does not get its keys: it is asked again from time to time",
	badRefused:     "a phone refuses a key: it keeps what it shows",
	badUnsupported: "a phone does not know such keys, and gets none until it registers anew",
	badUnreachable: "the connection of a phone has gone: it gets its keys when it registers again",
}

// notes are the log entries that are written once no lock is held. There is one when a phone gets
// into trouble, and one when it is out of it. If many phones do at once, the rest are counted.
type notes struct {
	list       []note
	room       float64 // how many may be written now
	filled     time.Time
	suppressed uint64
}

const (
	noteBurst = 50 // entries at once
	noteRate  = 1  // a second, after that
)

type note struct {
	condition  condition
	fields     []zap.Field
	suppressed uint64
}

// note records an entry about a phone, unless the log has said it. The caller holds the lock.
func (d *Delivery) note(p *phone, c condition, contact string, fields ...zap.Field) {
	if c == p.logged {
		return
	}
	p.logged = c
	n, now := &d.notes, d.clock.Now()
	n.room = min(noteBurst, n.room+noteRate*now.Sub(n.filled).Seconds())
	n.filled = now
	if n.room < 1 {
		n.suppressed++
		return
	}
	n.room--
	all := []zap.Field{
		zap.String("aor", p.user.aor),
		zap.String("contact", string(wire.WithoutPassword([]byte(contact)))),
	}
	if problem := p.problem(); c != healthy && problem != "" {
		all = append(all, zap.String("problem", problem))
	}
	n.list = append(n.list, note{c, append(all, fields...), n.suppressed})
	n.suppressed = 0
}

// noteAnswer records the outcome of a message. The caller holds the lock.
func (d *Delivery) noteAnswer(f *flight, r result) {
	p := f.phone
	switch {
	case p.gone || f.stale:
	case p.unsupported:
		d.note(p, badUnsupported, f.binding.Contact())
	case p.failures > 0:
		d.note(p, badRetrying, f.binding.Contact())
	case r == refused:
		if i, found := findKey(p.keys, f.keys[0].key); found {
			d.noteRefused(p, f.binding.Contact(), &p.keys[i])
		}
	}
}

// noteRefused records that a phone refuses a key. The caller holds the lock.
func (d *Delivery) noteRefused(p *phone, contact string, k *keyState) {
	d.note(p, badRefused, contact, zap.Uint16("key", k.key),
		zap.String("problem", problem(int(k.status), false)))
}

// noteSettled records that a phone has been sent everything. The caller holds the lock.
func (d *Delivery) noteSettled(p *phone, contact string) {
	for i := range p.keys {
		if p.keys[i].status >= 300 { // which overwritten is not
			d.noteRefused(p, contact, &p.keys[i])
			return
		}
	}
	d.note(p, healthy, contact)
}

// logNotes writes what has been noted. The caller does not hold the lock.
func (d *Delivery) logNotes() {
	d.mu.Lock()
	list := d.notes.list
	d.notes.list = nil
	d.mu.Unlock()
	for i := range list {
		n := &list[i]
		log := d.options.Logger().Warn
		if n.condition == healthy {
			log = d.options.Logger().Info
		}
		log(conditionTexts[n.condition], append(n.fields, ratelog.Suppressed(n.suppressed))...)
	}
}
