package wire

import (
	"unicode"
	"unicode/utf8"
)

// MaxLogged is the number of bytes to which ForLog cuts a text.
const MaxLogged = 256

const ellipsis = "…"

// Printable returns a text from the network in a form that is safe in logs and events: at most
// limit bytes long, with an ellipsis at the end where something was cut off, and with a question
// mark for each character that cannot be printed. Such characters could command a terminal, and
// JSON needs six bytes for each.
func Printable[T ~string | ~[]byte](text T, limit int) string {
	if len(text) <= limit && isPrintable(text) {
		return string(text)
	}
	return string(AppendPrintable(nil, text, limit))
}

// ForLog returns a text from the network as Printable does, at most MaxLogged bytes long.
func ForLog[T ~string | ~[]byte](text T) string { return Printable(text, MaxLogged) }

// AppendPrintable appends what Printable returns.
func AppendPrintable[T ~string | ~[]byte](dst []byte, text T, limit int) []byte {
	if len(text) <= limit && isPrintable(text) {
		return append(dst, text...)
	}
	start := len(dst)
	// One character more than fits is enough to see that there is more.
	s := string(text[:min(len(text), limit+utf8.UTFMax)])
	fits := start // how much of dst leaves room for an ellipsis
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && size == 1 || !unicode.IsPrint(r) {
			r, size = '?', max(size, 1)
		}
		if len(dst)-start+utf8.RuneLen(r) > limit {
			return append(dst[:fits], ellipsis...)
		}
		dst = utf8.AppendRune(dst, r)
		if len(dst)-start+len(ellipsis) <= limit {
			fits = len(dst)
		}
		s = s[size:]
	}
	return dst
}

// isPrintable reports whether all characters of a text are printable ASCII.
func isPrintable[T ~string | ~[]byte](text T) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' {
			return false
		}
	}
	return true
}
