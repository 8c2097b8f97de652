package delivery

import (
	"cmp"
	"slices"
	"strconv"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/snomkeys/buttons"
)

// maxBatch is how long the body of a message with several keys may get, even where there is room
// for more.
const maxBatch = 1200

// wanted is what a key should show.
type wanted struct {
	hash   uint64
	key    uint16
	off    bool // no layer says anything about it
	button buttons.Button
}

// buttonHash is the hash of what a phone is told of a key.
func buttonHash(b *buttons.Button) uint64 {
	h := uint64(hashStart)
	for _, text := range [...]string{b.Key, b.Light, b.Color, b.Number, b.Action, b.Label} {
		h = addHash(h, text)
		h = (h ^ '\n') * hashPrime
	}
	return max(h, 1)
}

// want returns what a phone should show, sorted by key. It is valid until want is called again. The
// caller holds the lock.
func (d *Delivery) want(aor, userAgent string) []wanted {
	clear(d.wanted)
	d.wanted = d.wanted[:0]
	d.options.Wanted(aor, userAgent, func(key int, b buttons.Button) {
		d.wanted = append(d.wanted, wanted{buttonHash(&b), uint16(key), false, b})
	})
	if !slices.IsSortedFunc(d.wanted, compareWanted) {
		slices.SortFunc(d.wanted, compareWanted)
	}
	return d.wanted
}

func compareWanted(a, b wanted) int { return int(a.key) - int(b.key) }

// off is what is sent for a key that no layer says anything about: it neither shines nor does
// anything.
func off(key uint16) wanted {
	b := buttons.Button{Key: strconv.Itoa(int(key)), Light: "off"}
	return wanted{buttonHash(&b), key, true, b}
}

// stale returns what has to be sent to the phone, what is the most urgent first. It is valid until
// want is called again. The caller holds the lock.
func (d *Delivery) stale(p *phone, userAgent string) []wanted {
	d.want(p.user.aor, userAgent)
	d.releaseKeys(p)
	n := len(d.wanted)
	for _, k := range p.keys {
		if !hasKey(d.wanted[:n], k.key) {
			d.wanted = append(d.wanted, off(k.key))
		}
	}
	d.wanted = slices.DeleteFunc(d.wanted, func(w wanted) bool {
		_, answered := p.answer(w.key, w.hash)
		return answered
	})
	slices.SortFunc(d.wanted, func(a, b wanted) int {
		// Keys that have just changed go first. Keys that the phone shows wrongly go before those
		// that it does not show yet.
		return cmp.Or(
			p.user.rank(a.key)-p.user.rank(b.key),
			p.shows(b.key)-p.shows(a.key),
			compareWanted(a, b),
		)
	})
	return d.wanted
}

// hasKey reports whether a key is among those that are wanted.
func hasKey(list []wanted, key uint16) bool {
	_, found := slices.BinarySearchFunc(list, key, func(w wanted, key uint16) int {
		return int(w.key) - int(key)
	})
	return found
}

// wants reports whether a phone should show a key. The caller holds the lock and has just called
// want.
func (d *Delivery) wants(key uint16) bool { return hasKey(d.wanted, key) }

// maxRecent is how many keys that have just changed are remembered for a user.
const maxRecent = 8

// addRecent returns keys that have just changed, followed by those of before, at most maxRecent.
func addRecent(keys, before []uint16) []uint16 {
	if len(keys) == 0 {
		return before
	}
	list := make([]uint16, 0, maxRecent)
	for _, from := range [...][]uint16{keys, before} {
		for _, key := range from {
			if len(list) < maxRecent && !slices.Contains(list, key) {
				list = append(list, key)
			}
		}
	}
	return list
}

// rank returns the position of a key among those that have just changed, the newest first.
func (u *user) rank(key uint16) int {
	if i := slices.Index(u.recent, key); i >= 0 {
		return i
	}
	return maxRecent
}

// answer returns what the phone has answered for a button.
func (p *phone) answer(key uint16, hash uint64) (keyState, bool) {
	i, found := findKey(p.keys, key)
	if !found || p.keys[i].status == 0 || p.keys[i].hash != hash {
		return keyState{}, false
	}
	return p.keys[i], true
}

// shows returns 1 if the phone has answered for the key since it registered, and 0 if not.
func (p *phone) shows(key uint16) int {
	if i, found := findKey(p.keys, key); found && p.keys[i].hash != 0 {
		return 1
	}
	return 0
}

// take chooses what the message carries, and returns its body, which is valid until take is called
// again; nil when nothing can be sent.
func (f *flight) take(list []wanted, d *Delivery) []byte {
	d.body, f.keys = d.body[:0], f.room[:0]
	most := 0
	if d.settings.Batch {
		most = min(maxBatch, d.request.BodyRoom())
	}
	for i := range list {
		w := &list[i]
		before := len(d.body)
		body := d.body
		if before > 0 {
			body = append(body, "\r\n\r\n"...)
		}
		body, err := buttons.AppendDocument(body, w.button)
		switch {
		case err != nil:
			// The record should have been refused.
			d.options.Logger().Error("a key cannot be sent",
				zap.String("aor", f.phone.user.aor), zap.Uint16("key", w.key), zap.Error(err))
			continue
		case before > 0 && len(body) > most || len(f.keys) == buttons.MaxButtons:
			return d.body
		}
		d.body = body
		f.keys = append(f.keys, sentKey{w.hash, w.key, w.off})
		if !d.settings.Batch {
			break
		}
	}
	return d.body
}
