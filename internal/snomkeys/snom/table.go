package snom

import "strings"

// Models are models of phones that the built-in table lacks, or has wrong.
type Models []Model

// Lookup does what the function of the same name does, but looks here first.
func (list Models) Lookup(name string) (Model, bool) {
	for _, m := range list {
		if SameModel(m.Name, name) {
			m.Name = name
			return m, true
		}
	}
	return Lookup(name)
}

// SameModel reports whether two names are of one model: case and a leading D do not matter.
func SameModel(a, b string) bool { return strings.EqualFold(short(a), short(b)) }

// short returns a model's name without the D that not every firmware writes.
func short(name string) string {
	if len(name) > 1 && (name[0] == 'D' || name[0] == 'd') && isDigit(name[1]) {
		return name[1:]
	}
	return name
}
