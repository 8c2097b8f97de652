package keys

import (
	"encoding/binary"
	"iter"
	"slices"
	"time"

	"github.com/caddysip/caddysip/internal/snomkeys/buttons"
)

// packed is what the layers of an address-of-record say, sorted by key and layer, in one block of
// memory: a server holds a million records and more. It never changes, so texts read from it are
// slices of it.
//
// A record is: flags, the key in two bytes, light and colour as the halves of a byte, label and
// number each after its length, and, if the flags say so, the time when it expires, in milliseconds
// since 1970 by the store's clock, and how many milliseconds that was after it was set.
type packed string

const (
	flagLayer    = 3 // mask
	flagLocked   = 1 << 2
	flagVolatile = 1 << 3
	flagExpires  = 1 << 4
	actionShift  = 5
)

// The words that are packed as numbers. The numbers are this process's, not those of what is
// stored.
var (
	lightWords  = append([]string{""}, buttons.Lights()...)
	colorWords  = append([]string{""}, buttons.Colors()...)
	actionWords = append([]string{""}, buttons.Actions()...)
)

// pack packs valid records that are sorted.
func pack(records []Stored) packed {
	size := 0
	for i := range records {
		size += 4 + 1 + len(records[i].Label) + 1 + len(records[i].Number)
		if !records[i].Expires.IsZero() {
			size += 16
		}
	}
	b := make([]byte, 0, size)
	for i := range records {
		r := &records[i]
		flags := byte(r.Layer) | byte(slices.Index(actionWords, r.Action))<<actionShift
		if r.Locked {
			flags |= flagLocked
		}
		if r.Volatile {
			flags |= flagVolatile
		}
		if !r.Expires.IsZero() {
			flags |= flagExpires
		}
		b = append(
			b,
			flags,
			byte(r.Key>>8),
			byte(r.Key),
			byte(slices.Index(lightWords, r.Light))<<4|byte(slices.Index(colorWords, r.Color)),
		)
		b = append(append(b, byte(len(r.Label))), r.Label...)
		b = append(append(b, byte(len(r.Number))), r.Number...)
		if flags&flagExpires != 0 {
			b = binary.BigEndian.AppendUint64(b, uint64(r.Expires.UnixMilli()))
			b = binary.BigEndian.AppendUint64(b, uint64(r.ttl.Milliseconds()))
		}
	}
	return packed(b)
}

// all returns the records.
func (p packed) all() iter.Seq[Stored] {
	return func(yield func(Stored) bool) {
		for len(p) > 0 {
			flags := p[0]
			s := Stored{
				Layer:    Layer(flags & flagLayer),
				Locked:   flags&flagLocked != 0,
				Volatile: flags&flagVolatile != 0,
			}
			s.Key = int(p[1])<<8 | int(p[2])
			s.Light, s.Color, s.Action = lightWords[p[3]>>4], colorWords[p[3]&15], actionWords[flags>>actionShift]
			s.Label, p = p[4:].text()
			s.Number, p = p.text()
			if flags&flagExpires != 0 {
				s.Expires = time.UnixMilli(int64(binary.BigEndian.Uint64([]byte(p[:8]))))
				s.ttl = time.Duration(binary.BigEndian.Uint64([]byte(p[8:16]))) * time.Millisecond
				p = p[16:]
			}
			if !yield(s) {
				return
			}
		}
	}
}

// text returns the text at the beginning of p, and what follows it.
func (p packed) text() (string, packed) {
	n := 1 + int(p[0])
	return string(p[1:n]), p[n:]
}

// live returns the records that have not expired.
func (p packed) live(now time.Time) []Stored {
	if p == "" {
		return nil
	}
	list := make([]Stored, 0, 16)
	for r := range p.all() {
		if !r.expired(now) {
			list = append(list, r)
		}
	}
	return list
}
