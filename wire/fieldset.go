package wire

import "slices"

// FieldSet is a set of header field names that a message is searched for in one pass, instead of
// once for each name. None of the fields may have a HeaderID or a compact form. A FieldSet is made
// once, with NewFieldSet, and is then safe for concurrent use.
type FieldSet struct {
	names []string
	at    [256]uint8 // by nameHash, like longIDs: index in names, plus one
}

// NewFieldSet returns the set of the fields with these names, of which there may be a few dozen.
func NewFieldSet(names ...string) *FieldSet {
	s := &FieldSet{names: names}
	for i, n := range names {
		h := nameHash([]byte(n))
		for s.at[h] != 0 {
			h++
		}
		s.at[h] = uint8(i + 1)
	}
	return s
}

// Names returns the names, as they were given to NewFieldSet.
func (s *FieldSet) Names() []string { return slices.Clone(s.names) }

// Has reports whether the set has the name, in any case.
func (s *FieldSet) Has(name []byte) bool {
	if len(name) == 0 {
		return false
	}
	for h := nameHash(name); s.at[h] != 0; h++ {
		if EqualFold(name, s.names[s.at[h]-1]) {
			return true
		}
	}
	return false
}

// HasAny reports whether the message has a field that is in the set.
func (m *Message) HasAny(s *FieldSet) bool {
	return slices.ContainsFunc(m.headers, func(h header) bool {
		return h.id == OtherHeader && s.Has(m.bytes(h.name))
	})
}

// DeleteHeaders removes all lines of the fields in the set.
func (e *Edits) DeleteHeaders(m *Message, s *FieldSet) {
	for i := range m.headers {
		if h := &m.headers[i]; h.id == OtherHeader && s.Has(m.bytes(h.name)) {
			e.Replace(m.lineSpan(i))
		}
	}
}
