package utf8text

import "testing"

func TestCheck(t *testing.T) {
	for text, want := range map[string]string{
		"":                 "",
		"Grüße\n\uFFFD":    "",
		"\xff":             "line 1, column 1 is not UTF-8",
		"a\nGrüße, Gr\xfc": "line 2, column 10 is not UTF-8",
		"ü\n\xc3":          "line 2, column 1 is not UTF-8",
	} {
		got := ""
		if err := Check([]byte(text)); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
