package location

import (
	"hash/maphash"
	"sync"

	"github.com/caddysip/caddysip/wire"
)

// A Contact is where a device is, and other devices are told it: of a call in the dialog, and of one
// that is transferred in Refer-To. So it must be possible to find whose it is. Desk phones have the
// user of the address-of-record in their Contact, and nothing need be kept to find them. Those that
// have another one are in an index.

// contactIndex is the index of the bindings whose Contact has another user than the address-of-record.
type contactIndex struct {
	mu       sync.RWMutex
	bindings map[uint64]*Binding // by placeHash
}

// contactCost is how many bytes an entry of the index takes.
const contactCost = 48

// placeHash is equal for URIs with the same user, host and port.
func (s *Store) placeHash(u *wire.URI) uint64 {
	var room [256]byte
	text := append(wire.AppendUnescaped(room[:0], u.User), '@')
	for _, c := range u.Host {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		text = append(text, c)
	}
	return maphash.Bytes(s.seed, append(text, byte(u.Port>>8), byte(u.Port)))
}

// foreign reports whether the update's Contact has another user than its address-of-record.
func (c *ContactUpdate) foreign(u *Update) bool {
	var room [256]byte
	user := wire.AppendUnescaped(room[:0], c.URI.User)
	n := len(user)
	return len(u.AOR) <= n || u.AOR[n] != '@' || string(u.AOR[:n]) != string(user)
}

// index adds a binding to the index (n is 1), or takes it away (n is -1), if it belongs there.
func (s *Store) index(b *Binding, n int) {
	if b.qMarks&indexed == 0 {
		return
	}
	u := b.uri()
	key := s.placeHash(&u)
	t := &s.contacts
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case n < 0 && t.bindings[key] != b:
	case n < 0:
		if delete(t.bindings, key); len(t.bindings) == 0 {
			t.bindings = nil // a map does not shrink
		}
	default:
		if t.bindings == nil {
			t.bindings = make(map[uint64]*Binding)
		}
		t.bindings[key] = b
	}
}

// At returns the binding whose Contact a URI is, nil if there is none. Of the Contact's parameters
// those that a binding has too count most. aors are where to look besides the index: the canonical
// addresses-of-record that the URI's user may have.
func (s *Store) At(u *wire.URI, aors ...[]byte) *Binding {
	var room [8]*Binding
	var want, have wire.URIFingerprint
	want.Set(u)
	var near *Binding
	for _, aor := range aors {
		for _, b := range s.All(aor, room[:0]) {
			if string(u.Raw) == b.Contact() {
				return b
			}
			uri := b.uri()
			if have.Set(&uri); have.Equal(&want) {
				return b
			}
			if near == nil && s.placeHash(&uri) == s.placeHash(u) {
				near = b
			}
		}
	}
	if near != nil {
		return near
	}
	t := &s.contacts
	t.mu.RLock()
	b := t.bindings[s.placeHash(u)]
	t.mu.RUnlock()
	if b != nil && b.expires <= s.now().floor() {
		return nil
	}
	return b
}
