package glob

import "testing"

func TestMatch(t *testing.T) {
	for _, test := range []struct {
		pattern, text string
		want, fold    bool // fold: whatever the case
	}{
		{"", "", true, true}, {"", "a", false, false}, {"a", "", false, false}, {"*", "", true, true}, {"**", "", true, true}, {"?", "", false, false},
		{"abc", "abc", true, true}, {"abc", "aBC", false, true}, {"ABC", "abc", false, true}, {"ab", "abc", false, false}, {"abc", "ab", false, false},
		{"*snom*", "Snom370", false, true}, {"*snom*", "a snom", true, true}, {"snom*", "a snom", false, false},
		{"*ab", "aab", true, true}, {"*ab", "xab", true, true}, {"*ab", "abx", false, false}, {"a*b*c", "a1b2b3c", true, true}, {"a*b*c", "a1c2b", false, false},
		{"*aab", "aaab", true, true}, {"a*a", "a", false, false}, {"a*a", "aa", true, true},
		{"?", "a", true, true}, {"?", "ü", true, true}, {"?", "ab", false, false}, {"4?", "43", true, true}, {"4?*", "4", false, false}, {"?\xff", "\xfe\xff", true, true},
		{`\*`, "*", true, true}, {`\*`, "a", false, false}, {`a\?`, "a?", true, true}, {`a\?`, "ab", false, false}, {`\\`, `\`, true, true}, {`\`, `\`, true, true},
		{`\a`, `\a`, true, true}, {`*\*`, "ab*", true, true}, {`*\*`, "ab", false, false},
		{"ü", "Ü", false, false},
	} {
		for fold, want := range map[bool]bool{false: test.want, true: test.fold} {
			if got := Match(test.pattern, []byte(test.text), fold); got != want {
				t.Errorf("Match(%q, %q, %t): %t", test.pattern, test.text, fold, got)
			}
		}
	}
}

// TestMatchTime has a pattern that a matcher which tries everything would never be done with.
func TestMatchTime(t *testing.T) {
	text := make([]byte, 1<<12)
	for i := range text {
		text[i] = 'a'
	}
	if Match("*a*a*a*a*a*a*a*a*a*a*a*a*b", text, false) {
		t.Error("it matches")
	}
}
