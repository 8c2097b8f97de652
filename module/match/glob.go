package match

import (
	"strings"

	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/wire"
)

// anyUser reports whether the user part of a URI, its escapes decoded (RFC 3261 §19.1.4), matches
// one of the patterns.
func anyUser(r *module.Request, patterns []string, u *wire.URI) bool {
	var buf [64]byte
	return r.MatchesAny(patterns, wire.AppendUnescaped(buf[:0], u.User), false)
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
		p = r.ExpandPattern(p)
		if strings.HasPrefix(p, "[") {
			p = strings.TrimSuffix(p[1:], "]")
		}
		if module.Glob(p, host, true) {
			return true
		}
	}
	return false
}
