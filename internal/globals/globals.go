package globals

import (
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// Text returns a text with its placeholders replaced, of which none may be unknown or empty. Those
// named in own, without braces, stay: they are for whoever uses the text. A brace that is text is
// written as \{.
func Text(text string, own ...string) (string, error) {
	if !strings.ContainsAny(text, "{}") {
		return text, nil
	}
	repl := caddy.NewReplacer()
	for _, name := range own {
		repl.Set(name, "{"+name+"}")
	}
	out, err := repl.ReplaceOrErr(text, true, true)
	if err != nil && strings.HasPrefix(err.Error(), "unrecognized") {
		err = fmt.Errorf(`%w: here are only such as {env.NAME}, which are replaced when the `+
			`configuration is loaded; a brace that is text is written as \{`, err)
	}
	return out, err
}

// Texts is Text for each of a list, in place.
func Texts(list []string) (err error) {
	for i := range list {
		if list[i], err = Text(list[i]); err != nil {
			return err
		}
	}
	return nil
}

// Patterns replaces the global placeholders in patterns, in place. Their values are part of the
// pattern: a star in an environment variable is one. Placeholders of requests stay.
func Patterns(list []string) (err error) {
	repl := caddy.NewReplacer()
	for i := range list {
		list[i], err = replace(list[i], func(key string) (string, bool, error) {
			value, known := repl.GetString(key)
			switch {
			case known && value == "":
				return "", true, empty(key)
			case !known && !strings.HasPrefix(key, "sip."):
				return "", false, fmt.Errorf(
					`unrecognized placeholder {%s}: a brace that is text is written as \{`, key)
			}
			return strings.ReplaceAll(value, "{", `\{`), known, nil // no placeholder begins in it
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Regexp returns a regular expression with its global placeholders replaced by parts of it. Other
// braces belong to the expression.
func Regexp(text string) (string, error) {
	repl := caddy.NewReplacer()
	return replace(text, func(key string) (string, bool, error) {
		value, known := repl.GetString(key)
		switch {
		case known && value == "":
			return "", true, empty(key)
		case strings.HasPrefix(key, "sip."):
			return "", false, fmt.Errorf(
				"a regular expression has no placeholders of a request, as {%s} is one", key)
		}
		return value, known, nil
	})
}

func empty(key string) error { return fmt.Errorf("the placeholder {%s} is empty", key) }

// replace replaces those placeholders in a text for which get has a value. Nothing else changes.
func replace(text string, get func(key string) (value string, ok bool, err error)) (string, error) {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '{' && (i == 0 || text[i-1] != '\\') {
			if n := strings.IndexByte(text[i:], '}'); n > 0 {
				value, ok, err := get(text[i+1 : i+n])
				if err != nil {
					return "", err
				}
				if ok {
					out.WriteString(value)
					i += n
					continue
				}
			}
		}
		out.WriteByte(text[i])
	}
	return out.String(), nil
}
