package match

import (
	"strings"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/internal/wire"
	"github.com/caddysip/caddysip/module"
)

// glob tells whether text matches a pattern, in which * stands for any text, ? for one character, and a backslash takes either its
// meaning. fold ignores the case of ASCII letters. It allocates nothing, and its time is at most the product of both lengths.
func glob(pattern string, text []byte, fold bool) bool {
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

var globEscaper = strings.NewReplacer(`*`, `\*`, `?`, `\?`, `\`, `\\`)

// expand replaces the placeholders in a pattern. What comes in by a placeholder is text, whatever it looks like: no caller can put a star
// where the configuration compares names.
func expand(r *module.Request, pattern string) string {
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

// anyGlob tells whether text matches one of the patterns.
func anyGlob(r *module.Request, patterns []string, text []byte, fold bool) bool {
	for _, p := range patterns {
		if glob(expand(r, p), text, fold) {
			return true
		}
	}
	return false
}

// anyUser tells whether the user part of a URI, its escapes decoded (RFC 3261 §19.1.4), matches one of the patterns.
func anyUser(r *module.Request, patterns []string, u *module.URI) bool {
	var buf [64]byte
	return anyGlob(r, patterns, wire.AppendUnescaped(buf[:0], u.User), false)
}

// anyHost tells whether the host of a URI matches one of the patterns. Brackets around an IPv6 address may be written or not.
func anyHost(r *module.Request, patterns []string, u *module.URI) bool {
	host := u.Host
	if len(host) == 0 {
		return false // a tel URI has none
	}
	if host[0] == '[' {
		host = host[1 : len(host)-1]
	}
	for _, p := range patterns {
		p = expand(r, p)
		if strings.HasPrefix(p, "[") {
			p = strings.TrimSuffix(p[1:], "]")
		}
		if glob(p, host, true) {
			return true
		}
	}
	return false
}
