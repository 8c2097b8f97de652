package globals

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestText(t *testing.T) {
	t.Setenv("A", "{env.B}*")
	t.Setenv("B", "b")
	t.Setenv("NOTHING", "")
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"plain":                      "plain",
		"x{env.B}y":                  "xby",
		"{env.A}":                    "{env.B}*", // what came in is text
		"{file." + secret + "}":      "s3",
		`\{env.B\}`:                  "{env.B}",
		"a { b":                      "a { b",
		"{env.B} of {user}":          "b of {user}",
		"{env.NOTHING}":              "error: evaluated placeholder {env.NOTHING} is empty",
		"{env.B}{sip.from.user}":     "error: unrecognized placeholder {sip.from.user}",
		"{file." + secret + ".none}": "error: evaluated placeholder {file." + secret + ".none} is empty",
	} {
		check(t, text, want, func(text string) (string, error) { return Text(text, "user") })
	}
}

func TestPatterns(t *testing.T) {
	t.Setenv("A", "1*")
	t.Setenv("BRACE", "{sip.from.user}")
	t.Setenv("NOTHING", "")
	for text, want := range map[string]string{
		"1*":              "1*",
		"{env.A}?":        "1*?",
		"{sip.to.user}":   "{sip.to.user}",
		"{env.BRACE}":     `\{sip.from.user}`,
		`\{env.A}`:        `\{env.A}`,
		"{env.A":          "{env.A",
		"a{env.NOTHING}":  "error: the placeholder {env.NOTHING} is empty",
		"{no.such}":       "error: unrecognized placeholder {no.such}",
		"{http.request.}": "error: unrecognized placeholder {http.request.}",
	} {
		check(t, text, want, func(text string) (string, error) {
			list := []string{text}
			err := Patterns(list)
			return list[0], err
		})
	}
}

func TestRegexp(t *testing.T) {
	t.Setenv("A", "[0-9]{3}")
	t.Setenv("NOTHING", "")
	for text, want := range map[string]string{
		"^sip:{env.A}@":  "^sip:[0-9]{3}@",
		`x{2,3}\{env.A}`: `x{2,3}\{env.A}`,
		"{env.NOTHING}":  "error: the placeholder {env.NOTHING} is empty",
		"{sip.to.user}":  "error: a regular expression has no placeholders of a request",
	} {
		check(t, text, want, Regexp)
		if !strings.HasPrefix(want, "error: ") {
			regexp.MustCompile(want)
		}
	}
}

func check(t *testing.T, text, want string, f func(string) (string, error)) {
	t.Helper()
	got, err := f(text)
	if message, wrong := strings.CutPrefix(want, "error: "); wrong {
		if err == nil || !strings.Contains(err.Error(), message) {
			t.Errorf("%s: %q, %v, want the error %s", text, got, err, message)
		}
	} else if err != nil || got != want {
		t.Errorf("%s: %q, %v, want %q", text, got, err, want)
	}
}
