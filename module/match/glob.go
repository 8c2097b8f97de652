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
	star, mark := -1, 0 // the last star, and how far the text went when it was met
	for {
		if p < len(pattern) && pattern[p] == '*' {
			star, mark = p, t
			p++
			continue
		}
		if t == len(text) {
			return p == len(pattern)
		}
		if np, nt, ok := globOne(pattern, p, text, t, fold); ok {
			p, t = np, nt
			continue
		}
		if star < 0 {
			return false
		}
		mark++ // let the star take one byte more
		p, t = star+1, mark
	}
}

// globOne matches one character and returns what comes next in both.
func globOne(pattern string, p int, text []byte, t int, fold bool) (int, int, bool) {
	if p == len(pattern) {
		return p, t, false
	}
	c := pattern[p]
	switch {
	case c == '?':
		_, size := utf8.DecodeRune(text[t:])
		return p + 1, t + size, true
	case c == '\\' && p+1 < len(pattern) && strings.IndexByte(`*?\`, pattern[p+1]) >= 0:
		p++
		c = pattern[p]
	}
	ok := c == text[t] || fold && lower(c) == lower(text[t])
	return p + 1, t + 1, ok
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
