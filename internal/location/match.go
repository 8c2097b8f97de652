package location

import (
	"slices"

	"github.com/caddysip/caddysip/wire"
)

// matching finds out which bindings the Contacts of a REGISTER refer to. Each Contact may have to
// be compared with every binding (RFC 3261 §19.1.4), so the comparable forms of the URIs are
// computed once, and without the lock.
//
// A Contact that is bound exactly as it is written, as in every refresh, is compared with nothing
// else: no other binding of the phone has an equal URI, since one of the two would have replaced
// the other.
type matching struct {
	contacts []wire.URIFingerprint // of the update
	known    []*Binding            // the bindings that prepare has seen
	forms    []wire.URIFingerprint // of known
	bound    []*wire.URIFingerprint
}

// asWritten reports whether b binds the Contact's URI exactly as it is written, so that no other
// binding of this phone has an equal one.
func (c *ContactUpdate) asWritten(u *Update, b *Binding) bool {
	return string(c.URI.Raw) == b.Contact() && !c.otherFlow(b) && !c.otherSite(u, b)
}

// bound reports whether the list has a binding of the Contact exactly as it is written.
func (c *ContactUpdate) bound(u *Update, list []*Binding) bool {
	for _, b := range list {
		if c.asWritten(u, b) {
			return true
		}
	}
	return false
}

// compares reports whether URIs will have to be compared by their forms.
func (u *Update) compares(list []*Binding) bool {
	if u.RemoveAll || len(list) == 0 && len(u.Contacts) == 1 {
		return false
	}
	for i := range u.Contacts {
		if !u.Contacts[i].bound(u, list) {
			return true
		}
	}
	return false
}

// prepare computes the forms of the Contacts and of the bindings.
func (m *matching) prepare(u *Update, list []*Binding) {
	m.known = append(m.known, list...)
	m.forms = slices.Grow(m.forms[:0], len(list))[:len(list)]
	for i, b := range list {
		b.form(&m.forms[i])
	}
	m.contacts = slices.Grow(m.contacts[:0], len(u.Contacts))[:len(u.Contacts)]
	for i := range u.Contacts {
		m.contacts[i].Set(&u.Contacts[i].URI)
	}
}

// form computes the comparable form of the Contact.
func (b *Binding) form(f *wire.URIFingerprint) {
	var room [256]byte
	u, _ := wire.ParseURI(append(room[:0], b.Contact()...)) // it was parsed without error before
	f.Set(&u)
}

// begin looks up the forms of the bindings in the list, in its order, as far as prepare has
// computed them.
func (m *matching) begin(list []*Binding) {
	m.bound = slices.Grow(m.bound, len(list)+1)
	if len(m.known) == 0 {
		m.bound = m.bound[:len(list)] // nil, see end
		return
	}
	for _, b := range list {
		var f *wire.URIFingerprint
		if i := slices.Index(m.known, b); i >= 0 {
			f = &m.forms[i]
		}
		m.bound = append(m.bound, f)
	}
}

// insert adds the form of the update's i-th Contact at the position of the binding made from it.
func (m *matching) insert(at, i int) {
	var f *wire.URIFingerprint
	if len(m.contacts) > 0 {
		f = &m.contacts[i]
	}
	m.bound = slices.Insert(m.bound, at, f)
}

// end releases the bindings, and keeps the memory for the next update.
func (m *matching) end() {
	clear(m.known)
	clear(m.bound[:cap(m.bound)])
	m.known, m.bound = m.known[:0], m.bound[:0]
	m.contacts = m.contacts[:0]
}

// matches reports whether the update's i-th Contact refers to the list's j-th binding. bound says
// that the Contact is bound exactly as it is written.
func (m *matching) matches(u *Update, i int, list []*Binding, j int, bound bool) bool {
	c, b := &u.Contacts[i], list[j]
	switch {
	case c.otherFlow(b) || c.otherSite(u, b):
		return false
	case string(c.URI.Raw) == b.Contact():
		return true
	case bound:
		return false
	}
	if len(m.contacts) == 0 { // the bindings changed after compares said it was not needed
		m.prepare(u, nil)
	}
	if m.bound[j] == nil {
		m.bound[j] = new(wire.URIFingerprint)
		b.form(m.bound[j])
	}
	return m.contacts[i].Equal(m.bound[j])
}

// fromSameAddress reports whether one of several bindings that the update's i-th Contact may refer
// to is from the address that the update comes from. A phone that registers with an instance may
// remove its Contact without one; that of another site stays.
func (m *matching) fromSameAddress(u *Update, i int, list []*Binding, bound bool) bool {
	if len(list) < 2 || len(u.Contacts[i].Instance) > 0 {
		return false
	}
	for j, b := range list {
		if m.matches(u, i, list, j, bound) && b.Source().Addr() == u.Flow.Remote.Addr() {
			return true
		}
	}
	return false
}
