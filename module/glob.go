package module

import (
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/internal/glob"
	"github.com/caddysip/caddysip/internal/globals"
)

// Glob reports whether text matches a pattern, in which * stands for any text, ? for one character,
// and a backslash makes the next *, ? or backslash literal. fold ignores the case of ASCII letters.
// It allocates nothing, and its time is bounded by the product of both lengths.
func Glob(pattern string, text []byte, fold bool) bool { return glob.Match(pattern, text, fold) }

// ReplaceGlobal returns a text of the configuration with the placeholders replaced that are the
// same for every request, such as {env.NAME}. Another one, or one that is empty, is an error. It is
// for options that are read when the configuration is loaded.
func ReplaceGlobal(text string) (string, error) { return globals.Text(text) }

// ReplaceGlobalInPatterns replaces the placeholders in patterns, in place, that are the same for
// every request. Their values are part of the pattern. It is called in Provision, for patterns that
// MatchesAny or ExpandPattern gets.
func ReplaceGlobalInPatterns(patterns []string) error { return globals.Patterns(patterns) }

var globEscaper = strings.NewReplacer(`*`, `\*`, `?`, `\?`, `\`, `\\`)

// ExpandPattern replaces the placeholders in a pattern of the configuration. Their values are text,
// whatever they look like: no caller can put a star where the configuration compares names.
func (r *Request) ExpandPattern(pattern string) string {
	if strings.IndexByte(pattern, '{') < 0 {
		return pattern
	}
	s, err := r.Replacer().ReplaceFunc(pattern, func(_ string, val any) (any, error) {
		return globEscaper.Replace(caddy.ToString(val)), nil
	})
	if err != nil {
		return pattern
	}
	return s
}

// MatchesAny reports whether text matches one of the patterns of the configuration, as Glob does,
// with their placeholders replaced.
func (r *Request) MatchesAny(patterns []string, text []byte, fold bool) bool {
	for _, p := range patterns {
		if Glob(r.ExpandPattern(p), text, fold) {
			return true
		}
	}
	return false
}
