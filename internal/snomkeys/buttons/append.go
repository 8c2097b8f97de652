package buttons

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// AppendDocument appends a document that describes buttons to dst. Properties
// come in the order k c o n a l, then the extra ones in theirs; empty ones are
// left out. Lines are joined by CRLF, descriptions by CRLF CRLF, and no CRLF
// follows the last line.
//
// Values are never altered. A button with an empty key, or with text that would break the format,
// is refused with a *FieldError (wrapped with the button's position if there are several), and dst
// is returned unchanged.
func AppendDocument(dst []byte, buttons ...Button) ([]byte, error) {
	if len(buttons) == 0 || len(buttons) > MaxButtons {
		return dst, fmt.Errorf(
			"a document describes 1 to %d buttons, not %d",
			MaxButtons,
			len(buttons),
		)
	}
	start := len(dst)
	out := dst
	for i := range buttons {
		b := &buttons[i]
		if err := b.check(); err != nil {
			if len(buttons) > 1 {
				return dst, fmt.Errorf("button %d of %d: %w", i+1, len(buttons), err)
			}
			return dst, err
		}
		if i > 0 {
			out = append(out, "\r\n\r\n"...)
		}
		out = append(out, "k="...)
		out = append(out, b.Key...)
		out = appendProperty(out, "c", b.Light)
		out = appendProperty(out, "o", b.Color)
		out = appendProperty(out, "n", b.Number)
		out = appendProperty(out, "a", b.Action)
		out = appendProperty(out, "l", b.Label)
		for _, p := range b.Extra {
			out = appendProperty(out, p.Name, p.Value)
		}
	}
	if n := len(out) - start; n > MaxDocument {
		return dst, fmt.Errorf("the document has %d bytes, more than %d", n, MaxDocument)
	}
	return out, nil
}

func appendProperty(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	dst = append(dst, '\r', '\n')
	dst = append(dst, name...)
	dst = append(dst, '=')
	return append(dst, value...)
}

// check returns an error for the first field that can't be written in a document.
func (b *Button) check() error {
	if b.Key == "" {
		return &FieldError{"key", "must not be empty"}
	}
	for _, f := range [...]struct{ name, value string }{
		{"key", b.Key}, {"light", b.Light}, {"color", b.Color},
		{"number", b.Number}, {"action", b.Action}, {"label", b.Label},
	} {
		if reason := checkValue(f.value); reason != "" {
			return &FieldError{f.name, reason}
		}
	}
	for _, p := range b.Extra {
		// A known name would be read back into its field, or as a second one.
		if !validName(p.Name) || (&Button{}).field(p.Name) != nil {
			return &FieldError{
				"extra",
				fmt.Sprintf("%.40q is not the name of an extra property", p.Name),
			}
		}
		if reason := checkValue(p.Value); reason != "" {
			return &FieldError{"extra", "the value of " + p.Name + " " + reason}
		}
	}
	return nil
}

// checkValue returns why a value can't be written; empty if it can.
func checkValue(v string) (reason string) {
	if i := strings.IndexFunc(v, unicode.IsControl); i >= 0 {
		r, _ := utf8.DecodeRuneInString(v[i:])
		return fmt.Sprintf("must not contain the control character %U", r)
	}
	if !utf8.ValidString(v) {
		return "must be UTF-8"
	}
	return ""
}
