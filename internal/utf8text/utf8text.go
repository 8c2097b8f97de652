package utf8text

import (
	"fmt"
	"unicode/utf8"
)

// Check returns an error that says where the text is not UTF-8.
func Check(text []byte) error {
	if utf8.Valid(text) {
		return nil
	}
	line, column := 1, 1
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return fmt.Errorf("line %d, column %d is not UTF-8", line, column)
		case r == '\n':
			line, column = line+1, 1
		default:
			column++
		}
		i += size
	}
	return nil
}
