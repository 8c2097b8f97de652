package keyprofile

import (
	"fmt"
	"strings"

	"github.com/caddysip/caddysip/internal/domains"
	"github.com/caddysip/caddysip/internal/utf8text"
)

// maxMember is the longest name in a file of members, in bytes.
const maxMember = 1024

// ParseMembers reads the users in a file of members: one a line, as user, or as user@domain or
// sip:user@domain where only that domain's user is meant, in any order. Empty lines, and what
// follows a #, are comments.
//
//	# the warehouse
//	301
//	302@example.com  # at night
func ParseMembers(content []byte) (map[string]struct{}, error) {
	if err := utf8text.Check(content); err != nil {
		return nil, err
	}
	members := make(map[string]struct{})
	n := 0
	for line := range strings.Lines(string(content)) {
		n++
		line, _, _ = strings.Cut(line, "#")
		name := domains.CutScheme(strings.TrimSpace(line))
		switch {
		case name == "":
			continue
		case strings.ContainsFunc(name, separates):
			return nil, fmt.Errorf("line %d: one user a line, without anything beside", n)
		case len(name) > maxMember:
			return nil, fmt.Errorf("line %d: a name of more than %d bytes", n, maxMember)
		}
		if user, domain, ok := strings.Cut(name, "@"); ok {
			name = user + "@" + strings.ToLower(domain)
		}
		members[strings.Clone(name)] = struct{}{} // not the whole file
	}
	return members, nil
}

// separates reports whether a character is none of a name.
func separates(c rune) bool { return c <= ' ' || c == ',' || c == ';' }
