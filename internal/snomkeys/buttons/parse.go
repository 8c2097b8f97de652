package buttons

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ParseError is an error in a document.
type ParseError struct {
	Line   int // counted from 1
	Reason string
}

func (e *ParseError) Error() string {
	return fmt.Sprintf("application/x-buttons, line %d: %s", e.Line, e.Reason)
}

// ParseDocument parses a document. Lines end with CRLF or, as old phones and scripts send them,
// with LF; the last line end is optional. Several empty lines count as one. Unknown values of
// light, colour and action are accepted, as a phone must be able to ignore them.
//
// A document that is empty, longer than MaxDocument, has more than MaxButtons
// descriptions or breaks the format is refused whole with a *ParseError.
func ParseDocument(doc []byte) ([]Button, error) {
	if len(doc) > MaxDocument {
		return nil, &ParseError{
			1,
			fmt.Sprintf("the document has %d bytes, more than %d", len(doc), MaxDocument),
		}
	}
	if !utf8.Valid(doc) {
		return nil, &ParseError{invalidLine(doc), "not UTF-8"}
	}

	// One copy; all values are substrings of it.
	rest := string(doc)
	buttons := make([]Button, 0, 1)
	inside := false // a description has begun and no empty line has ended it
	for line := 1; rest != ""; line++ {
		var text string
		text, rest, _ = strings.Cut(rest, "\n")
		text = strings.TrimSuffix(text, "\r")
		if text == "" {
			inside = false
			continue
		}
		name, value, reason := splitProperty(text)
		if reason != "" {
			return nil, &ParseError{line, reason}
		}
		if !inside {
			if name != "k" {
				return nil, &ParseError{
					line,
					fmt.Sprintf("a description begins with k=, not with %.40s=", name),
				}
			}
			if len(buttons) == MaxButtons {
				return nil, &ParseError{line, fmt.Sprintf("more than %d buttons", MaxButtons)}
			}
			buttons = append(buttons, Button{})
			inside = true
		}
		if reason := buttons[len(buttons)-1].set(name, value); reason != "" {
			return nil, &ParseError{line, reason}
		}
	}
	if len(buttons) == 0 {
		return nil, &ParseError{1, "no button described"}
	}
	return buttons, nil
}

// splitProperty cuts a line in name and value; reason is not empty if it is
// not a property.
func splitProperty(line string) (name, value, reason string) {
	name, value, ok := strings.Cut(line, "=")
	switch {
	case !ok:
		return "", "", "not of the form name=value"
	case !validName(name):
		return "", "", fmt.Sprintf("%.40q is not the name of a property", name)
	}
	if i := strings.IndexFunc(value, unicode.IsControl); i >= 0 {
		r, _ := utf8.DecodeRuneInString(value[i:])
		return "", "", fmt.Sprintf("control character %U in the value of %.40s", r, name)
	}
	return name, value, ""
}

// set assigns a property, and returns a reason if it can't be.
func (b *Button) set(name, value string) (reason string) {
	field := b.field(name)
	if field == nil {
		b.Extra = append(b.Extra, Property{name, value})
		return ""
	}
	// An empty value says nothing, so it counts as one that was left out.
	if *field != "" {
		if name == "k" {
			return "k a second time: an empty line begins the next description"
		}
		return name + " a second time"
	}
	if name == "k" && value == "" {
		return "k names no key"
	}
	*field = value
	return ""
}

// field returns the field in which the property of that name is kept, nil for
// an unknown one.
func (b *Button) field(name string) *string {
	switch name {
	case "k":
		return &b.Key
	case "c":
		return &b.Light
	case "o":
		return &b.Color
	case "n":
		return &b.Number
	case "a":
		return &b.Action
	case "l":
		return &b.Label
	}
	return nil
}

// validName reports whether name can be a property's. The published names are
// single letters, yet the grammar leaves room for extensions.
func validName(name string) bool {
	for i := 0; i < len(name); i++ {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return name != ""
}

// invalidLine returns the number of the first line that is not UTF-8.
func invalidLine(doc []byte) int {
	line := 1
	for len(doc) > 0 {
		r, n := utf8.DecodeRune(doc)
		if r == utf8.RuneError && n == 1 {
			break
		}
		line += bytes.Count(doc[:n], []byte{'\n'})
		doc = doc[n:]
	}
	return line
}
