package digest

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// CheckUser returns an error if name cannot be the name of a user: it is written before a colon,
// where it is hashed and in users files.
func CheckUser(name string) error {
	switch {
	case name == "":
		return errors.New("a user has no name")
	case name != strings.TrimSpace(name) || name[0] == '#' || strings.ContainsFunc(name, func(r rune) bool { return isControl(r) || r == ':' }):
		return fmt.Errorf("user %q: the name must have no colon or control characters, not begin with #, and not begin or end with white space", name)
	}
	return nil
}

// CheckRealm returns an error if realm cannot be a realm. Quotes and backslashes would have to be
// escaped, and clients don't agree on whether the escapes are hashed.
func CheckRealm(realm string) error {
	if realm == "" || strings.ContainsFunc(realm, func(r rune) bool { return isControl(r) || r == '"' || r == '\\' }) {
		return fmt.Errorf("realm %q: it must not be empty, and have no quotes, backslashes or control characters", realm)
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// shortPassword is the length in characters below which a password is weak.
const shortPassword = 6

// Weak reports whether a password is among the first that anybody tries: the user's name, or very
// short.
func Weak(user, password string) bool {
	return password == user || utf8.RuneCountInString(password) < shortPassword
}
