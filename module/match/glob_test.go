package match

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/caddysip/caddysip/module"
)

func TestGlob(t *testing.T) {
	for _, tc := range []struct {
		pattern, text string
		fold, want    bool
	}{
		{"", "", false, true},
		{"", "a", false, false},
		{"*", "", false, true},
		{"*", "anything", false, true},
		{"a", "a", false, true},
		{"a", "", false, false},
		{"a", "ab", false, false},
		{"a", "A", false, false},
		{"a", "A", true, true},
		{"4*", "431", false, true},
		{"4*", "54", false, false},
		{"*4", "434", false, true},
		{"*a*b*c*", "xxaxxbxxcxx", false, true},
		{"*a*b*c*", "xxaxxcxxbxx", false, false},
		{"a*a", "a", false, false},
		{"a**b", "ab", false, true},
		{"*snom*", "SnomD785/10.1", true, true},
		{"4?1", "431", false, true},
		{"4?1", "41", false, false},
		{"4?", "4", false, false},
		{"?", "ü", false, true},
		{"??", "ü", false, false},
		{"*?", "", false, false},
		{"*?", "ab", false, true},
		{`\*`, "*", false, true},
		{`\*`, "a", false, false},
		{`\?`, "?", false, true},
		{`\\`, `\`, false, true},
		{`a\b`, `a\b`, false, true},
		{`\`, `\`, false, true},
		{`*\*67*`, "*67431", false, true},
	} {
		if got := module.Glob(tc.pattern, []byte(tc.text), tc.fold); got != tc.want {
			t.Errorf("glob(%q, %q, %v) = %v", tc.pattern, tc.text, tc.fold, got)
		}
	}
}

// A pattern made to be slow must not be.
func TestGlobManyStars(t *testing.T) {
	text := []byte(strings.Repeat("a", 60000))
	if module.Glob(strings.Repeat("*a", 50)+"*b", text, false) {
		t.Error("matched")
	}
}

func FuzzGlob(f *testing.F) {
	f.Add("*a?b*", "xaybz")
	f.Add(`\*`, "*")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern) > 20 || len(text) > 40 {
			return
		}
		if strings.ContainsAny(pattern, `\?`) || !utf8.ValidString(pattern) || !utf8.ValidString(text) {
			module.Glob(pattern, []byte(text), true)
			return
		}
		// Without the two others, a pattern is a sequence of texts.
		want := regexp.MustCompile(`(?s)\A` + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `.*`) + `\z`)
		if got := module.Glob(pattern, []byte(text), false); got != want.MatchString(text) {
			t.Errorf("glob(%q, %q) = %v", pattern, text, got)
		}
	})
}
