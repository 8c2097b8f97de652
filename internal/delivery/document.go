package delivery

import (
	"slices"
	"strconv"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/buttons"
)

// maxBatch is how long the body of a message with several keys may get: with its header it has to fit into a datagram that no network cuts.
const maxBatch = 1200

// wanted is what a key should show. Its text is the part of Delivery.texts from start to end.
type wanted struct {
	hash       uint64
	start, end int
	key        uint16
	off        bool // no layer says anything about it
}

// want returns what a phone should show, sorted by key. It is valid until want is called again. The caller holds the lock.
func (d *Delivery) want(aor, userAgent string) []wanted {
	d.wanted, d.texts = d.wanted[:0], d.texts[:0]
	d.options.Wanted(aor, userAgent, func(key int, b buttons.Button) { d.document(key, b, false) })
	if !slices.IsSortedFunc(d.wanted, compareWanted) {
		slices.SortFunc(d.wanted, compareWanted)
	}
	return d.wanted
}

func compareWanted(a, b wanted) int { return int(a.key) - int(b.key) }

func (d *Delivery) document(key int, b buttons.Button, off bool) {
	start := len(d.texts)
	texts, err := buttons.AppendDocument(d.texts, b)
	if err != nil {
		d.options.Logger().Error("a key cannot be sent", zap.Int("key", key), zap.Error(err)) // it should not have been taken
		return
	}
	d.texts = texts
	d.wanted = append(d.wanted, wanted{textHash(texts[start:]), start, len(texts), uint16(key), off})
}

// offButton is what is sent for a key that no layer says anything about: it neither shines nor does anything.
func offButton(key uint16) buttons.Button {
	return buttons.Button{Key: strconv.Itoa(int(key)), Light: "off"}
}

// offHash is the hash of what is sent for a key that is to be off.
func (d *Delivery) offHash(key uint16) uint64 {
	var room [32]byte
	b := append(room[:0], "k="...)
	b = strconv.AppendUint(b, uint64(key), 10)
	return textHash(append(b, "\r\nc=off"...))
}

// stale returns what has to be sent to the phone, what is the most urgent first. It is valid until want is called again. The caller holds the lock.
func (d *Delivery) stale(p *phone, userAgent string) []wanted {
	d.want(p.user.aor, userAgent)
	n := len(d.wanted)
	for _, k := range p.keys {
		if _, found := slices.BinarySearchFunc(d.wanted[:n], k.key, func(w wanted, key uint16) int { return int(w.key) - int(key) }); !found {
			d.document(int(k.key), offButton(k.key), true)
		}
	}
	d.wanted = slices.DeleteFunc(d.wanted, func(w wanted) bool {
		i, found := findKey(p.keys, w.key)
		return found && p.keys[i].status != 0 && p.keys[i].hash == w.hash
	})
	slices.SortFunc(d.wanted, func(a, b wanted) int {
		if shown := p.shows(b.key) - p.shows(a.key); shown != 0 {
			return shown // what the phone shows and is wrong goes before what it does not show yet
		}
		return compareWanted(a, b)
	})
	return d.wanted
}

// shows returns 1 if the phone has answered for the key since it registered, and 0 if not.
func (p *phone) shows(key uint16) int {
	if i, found := findKey(p.keys, key); found && p.keys[i].hash != 0 {
		return 1
	}
	return 0
}

// take chooses what the message carries, and returns its body. It is valid until want is called again.
func (f *push) take(documents []wanted, d *Delivery) []byte {
	w := documents[0]
	f.keys = append(f.room[:0], sentKey{w.hash, w.key, w.off})
	body := d.texts[w.start:w.end]
	if !d.settings.Batch {
		return body
	}
	d.body = append(d.body[:0], body...)
	for _, w := range documents[1:] {
		text := d.texts[w.start:w.end]
		if len(d.body)+4+len(text) > maxBatch || len(f.keys) == buttons.MaxButtons {
			break
		}
		d.body = append(append(d.body, "\r\n\r\n"...), text...)
		f.keys = append(f.keys, sentKey{w.hash, w.key, w.off})
	}
	return d.body
}
