package match

import (
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/wire"
)

var globEscaper = strings.NewReplacer(`*`, `\*`, `?`, `\?`, `\`, `\\`)

// expand replaces the placeholders in a pattern. What comes in by a placeholder is text, whatever
// it looks like: no caller can put a star where the configuration compares names.
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

// anyGlob reports whether text matches one of the patterns.
func anyGlob(r *module.Request, patterns []string, text []byte, fold bool) bool {
	for _, p := range patterns {
		if module.Glob(expand(r, p), text, fold) {
			return true
		}
	}
	return false
}

// anyUser reports whether the user part of a URI, its escapes decoded (RFC 3261 §19.1.4), matches
// one of the patterns.
func anyUser(r *module.Request, patterns []string, u *wire.URI) bool {
	var buf [64]byte
	return anyGlob(r, patterns, wire.AppendUnescaped(buf[:0], u.User), false)
}

// anyHost reports whether the host of a URI matches one of the patterns. Brackets around an IPv6
// address may be written or not.
func anyHost(r *module.Request, patterns []string, u *wire.URI) bool {
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
		if module.Glob(p, host, true) {
			return true
		}
	}
	return false
}
