package module

import "github.com/caddysip/caddysip/internal/glob"

// Glob reports whether text matches a pattern, in which * stands for any text, ? for one character,
// and a backslash makes the next *, ? or backslash literal. fold ignores the case of ASCII letters.
// It allocates nothing, and its time is bounded by the product of both lengths.
func Glob(pattern string, text []byte, fold bool) bool { return glob.Match(pattern, text, fold) }
