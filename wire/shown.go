package wire

import (
	"unicode"
	"unicode/utf8"
)

// MaxLogged is how many bytes of a text from the wire a log shows.
const MaxLogged = 256

const cut = "…" // in place of what is left out

// Shown returns a text from the wire as people and programs see it in logs and events: no longer than most bytes, with
// an ellipsis at the end where something was cut off, and with a question mark for whatever cannot be printed. Such
// characters could command a terminal, and JSON needs six bytes for each.
func Shown[T ~string | ~[]byte](text T, most int) string {
	if len(text) <= most && printable(text) {
		return string(text)
	}
	return string(AppendShown(nil, text, most))
}

// Logged returns a text from the wire as logs show it.
func Logged[T ~string | ~[]byte](text T) string { return Shown(text, MaxLogged) }

// AppendShown appends what Shown returns.
func AppendShown[T ~string | ~[]byte](dst []byte, text T, most int) []byte {
	if len(text) <= most && printable(text) {
		return append(dst, text...)
	}
	start := len(dst)
	// One character more than there is room for tells that there is more.
	s := string(text[:min(len(text), most+utf8.UTFMax)])
	fits := start // up to where an ellipsis has room behind it
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && size == 1 || !unicode.IsPrint(r) {
			r, size = '?', max(size, 1)
		}
		if len(dst)-start+utf8.RuneLen(r) > most {
			return append(dst[:fits], cut...)
		}
		dst = utf8.AppendRune(dst, r)
		if len(dst)-start+len(cut) <= most {
			fits = len(dst)
		}
		s = s[size:]
	}
	return dst
}

// printable reports whether a text is of printable ASCII characters.
func printable[T ~string | ~[]byte](text T) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' {
			return false
		}
	}
	return true
}
