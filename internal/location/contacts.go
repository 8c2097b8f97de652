package location

import (
	"hash/maphash"
	"sync"

	"github.com/caddysip/caddysip/wire"
)

// A request may be for a Contact rather than for an address-of-record: other devices learn it from
// the dialog of a call, or from the Refer-To of a transfer. Desk phones put the user of the
// address-of-record into their Contact, and are found by that. Those with another user there are in
// an index.

// contactIndex is the index of the bindings whose Contact has another user than the
// address-of-record.
type contactIndex struct {
	mu       sync.RWMutex
	bindings map[uint64]*Binding // by contactKey
}

// contactCost is how many bytes an entry of the index takes.
const contactCost = 48

// contactKey is equal for URIs with the same user, host and port.
func (s *Store) contactKey(u *wire.URI) uint64 {
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

// hasOtherUser reports whether the update's Contact has another user than its address-of-record.
func (c *ContactUpdate) hasOtherUser(u *Update) bool {
	var room [256]byte
	user := wire.AppendUnescaped(room[:0], c.URI.User)
	n := len(user)
	return len(u.AOR) <= n || u.AOR[n] != '@' || string(u.AOR[:n]) != string(user)
}

// index adds a binding to the index (n is 1) or removes it (n is -1), if it belongs there.
func (s *Store) index(b *Binding, n int) {
	if b.qFlags&indexed == 0 {
		return
	}
	u := b.uri()
	key := s.contactKey(&u)
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

// FindByContact returns the binding whose Contact a URI is, nil if there is none. A Contact with
// the same parameters comes before one that has only user, host and port in common. aors are where
// to look besides the index: the canonical addresses-of-record that the URI's user may have.
func (s *Store) FindByContact(u *wire.URI, aors ...[]byte) *Binding {
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
			if near == nil && s.contactKey(&uri) == s.contactKey(u) {
				near = b
			}
		}
	}
	if near != nil {
		return near
	}
	t := &s.contacts
	t.mu.RLock()
	b := t.bindings[s.contactKey(u)]
	t.mu.RUnlock()
	if b != nil && b.expires <= s.now().floor() {
		return nil
	}
	return b
}
