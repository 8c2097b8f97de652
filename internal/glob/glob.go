package glob

import (
	"strings"
	"unicode/utf8"
)

// Match reports whether text matches a pattern, in which * stands for any text, ? for one
// character, and a backslash before either for that character itself. fold ignores the case of
// ASCII letters. It allocates nothing, and takes at most time proportional to the product of both
// lengths.
func Match(pattern string, text []byte, fold bool) bool {
	p, t := 0, 0
	star, mark := -1, 0 // what follows the last star, and how much of the text had been matched there
	for t < len(text) {
		if p < len(pattern) {
			c, width := pattern[p], 1
			switch {
			case c == '*':
				p++
				star, mark = p, t
				continue
			case c == '?':
				_, size := utf8.DecodeRune(text[t:])
				p, t = p+1, t+size
				continue
			case c == '\\' && p+1 < len(pattern) && strings.IndexByte(`*?\`, pattern[p+1]) >= 0:
				c, width = pattern[p+1], 2
			}
			if c == text[t] || fold && lower(c) == lower(text[t]) {
				p, t = p+width, t+1
				continue
			}
		}
		if star < 0 {
			return false
		}
		mark++ // the star takes one byte more
		p, t = star, mark
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
