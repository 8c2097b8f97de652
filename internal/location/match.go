package location

import (
	"slices"

	"github.com/caddysip/caddysip/wire"
)

// matching finds out which bindings the Contacts of a REGISTER are about. Each may have to be compared with every binding, so the
// forms of the URIs are worked out once, and without the lock.
//
// A Contact that is bound as it is written, as in every refresh, is compared with nothing else: no other binding has an equal
// URI, or one of the two would have taken the other's place.
type matching struct {
	contacts []wire.URIFingerprint // of the update
	known    []*Binding     // those that there were
	forms    []wire.URIFingerprint // of known
	bound    []*wire.URIFingerprint
}

// flows reports whether both are flows. A phone with several registers them all with the same URI, so that between two flows only
// instance and reg-id count (RFC 5626 §6).
func (c *ContactUpdate) flows(b *Binding) bool { return b.regID > 0 && c.outbound() }

// asWritten reports whether b binds the Contact's URI as it is written, so that no other binding has an equal one.
func (c *ContactUpdate) asWritten(b *Binding) bool {
	return (b.regID == 0 || c.outbound()) && string(c.URI.Raw) == b.Contact()
}

// bound reports whether the Contact is bound as it is written.
func (c *ContactUpdate) bound(list []*Binding) bool {
	for _, b := range list {
		if c.asWritten(b) {
			return true
		}
	}
	return false
}

// compares reports whether URIs will have to be compared.
func (u *Update) compares(list []*Binding) bool {
	if u.RemoveAll || len(list) == 0 && len(u.Contacts) == 1 {
		return false
	}
	for i := range u.Contacts {
		if !u.Contacts[i].bound(list) {
			return true
		}
	}
	return false
}

// prepare works out the forms of the Contacts and of the bindings.
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

func (b *Binding) form(f *wire.URIFingerprint) {
	var room [256]byte
	u, _ := wire.ParseURI(append(room[:0], b.Contact()...)) // it was read before
	f.Set(&u)
}

// begin takes the forms of the bindings in the list, in its order, as far as they are worked out.
func (m *matching) begin(list []*Binding) {
	for _, b := range list {
		var f *wire.URIFingerprint
		if i := slices.Index(m.known, b); i >= 0 {
			f = &m.forms[i]
		}
		m.bound = append(m.bound, f)
	}
}

// insert takes the form of the update's i-th Contact for the binding that it has made.
func (m *matching) insert(at, i int) {
	var f *wire.URIFingerprint
	if len(m.contacts) > 0 {
		f = &m.contacts[i]
	}
	m.bound = slices.Insert(m.bound, at, f)
}

// end lets go of the bindings.
func (m *matching) end() {
	clear(m.known)
	m.known, m.bound = m.known[:0], m.bound[:0]
	m.contacts = m.contacts[:0]
}

// matches reports whether the update's i-th Contact is the one that the list's j-th binding is for. bound says that the Contact is
// bound as it is written.
func (m *matching) matches(u *Update, i int, list []*Binding, j int, bound bool) bool {
	c, b := &u.Contacts[i], list[j]
	switch {
	case c.flows(b):
		return c.RegID == b.regID && string(c.Instance) == b.Instance()
	case string(c.URI.Raw) == b.Contact():
		return true
	case bound:
		return false
	}
	if len(m.contacts) == 0 { // it has become necessary meanwhile
		m.prepare(u, nil)
	}
	if m.bound[j] == nil {
		m.bound[j] = new(wire.URIFingerprint)
		b.form(m.bound[j])
	}
	return m.contacts[i].Equal(m.bound[j])
}
