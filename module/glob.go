package module

import "github.com/caddysip/caddysip/internal/glob"

// Glob reports whether text matches a pattern, in which * stands for any text, ? for one character,
// and a backslash takes either its meaning. fold ignores the case of ASCII letters. It allocates
// nothing, and its time is at most the product of both lengths.
func Glob(pattern string, text []byte, fold bool) bool { return glob.Match(pattern, text, fold) }
