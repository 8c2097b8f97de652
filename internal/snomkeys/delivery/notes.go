package delivery

import (
	"time"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/ratelog"
	"github.com/caddysip/caddysip/wire"
)

// condition is what an operator has been told of a phone.
type condition uint8

const (
	fine condition = iota
	badRetrying
	badRefused
	badUnsupported
	badUnreachable
)

// What the log says of each.
var conditionTexts = [...]string{
	fine:           "a phone has all its keys again",
	badRetrying:    "a phone does not get its keys: it is asked again from time to time",
	badRefused:     "a phone refuses a key: it keeps what it shows",
	badUnsupported: "a phone does not know such keys, and gets none until it registers anew",
	badUnreachable: "the connection of a phone has gone: it gets its keys when it registers again",
}

// notes are the log entries that are to be written once no lock is held. Each phone has one when it
// gets into trouble, and one when it is out of it; if a whole building does, the rest are counted.
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

// note records what is known of a phone now, unless it has been said. The caller holds the lock.
func (d *Delivery) note(p *phone, c condition, contact string, fields ...zap.Field) {
	if c == p.told {
		return
	}
	p.told = c
	n, now := &d.notes, d.clock.Now()
	n.room = min(noteBurst, n.room+noteRate*now.Sub(n.filled).Seconds())
	n.filled = now
	if n.room < 1 {
		n.suppressed++
		return
	}
	n.room--
	all := []zap.Field{zap.String("aor", p.user.aor), zap.String("contact", string(wire.WithoutPassword([]byte(contact))))}
	if problem := p.problem(); c != fine && problem != "" {
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
		k := &f.keys[0]
		if i, found := findKey(p.keys, k.key); found {
			d.note(p, badRefused, f.binding.Contact(), zap.Uint16("key", k.key), zap.String("problem", problem(int(p.keys[i].status), false)))
		}
	}
}

// noteSettled records that nothing is left to be sent to a phone. The caller holds the lock.
func (d *Delivery) noteSettled(p *phone, contact string) {
	for i := range p.keys {
		if p.keys[i].status >= 300 { // which overwritten is not
			d.note(p, badRefused, contact, zap.Uint16("key", p.keys[i].key), zap.String("problem", problem(int(p.keys[i].status), false)))
			return
		}
	}
	d.note(p, fine, contact)
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
		if n.condition == fine {
			log = d.options.Logger().Info
		}
		log(conditionTexts[n.condition], append(n.fields, ratelog.Suppressed(n.suppressed))...)
	}
}
