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
	host := unbracketed(u.Host)
	if len(host) == 0 {
		return false // a tel URI has none
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

// literals returns patterns that stand for themselves alone, each of them, else nil.
func literals(patterns []string) []string {
	for _, p := range patterns {
		if strings.ContainsAny(p, `*?\{`) {
			return nil
		}
	}
	return patterns
}

// literalHosts returns the hosts that patterns stand for, in the form of appendHost, or nil when
// one of them stands for more than one.
func literalHosts(patterns []string) (hosts []string) {
	for _, p := range literals(patterns) {
		if strings.HasPrefix(p, "[") {
			p = strings.TrimSuffix(p[1:], "]")
		}
		hosts = append(hosts, string(appendLower(nil, p)))
	}
	return hosts
}

// appendHost appends the host of a URI in lower case, an IPv6 address without brackets.
func appendHost(dst []byte, u *wire.URI) []byte { return appendLower(dst, unbracketed(u.Host)) }

func unbracketed(host []byte) []byte {
	if len(host) > 1 && host[0] == '[' {
		return host[1 : len(host)-1]
	}
	return host
}

// appendLower appends text with its ASCII letters in lower case.
func appendLower[T ~string | ~[]byte](dst []byte, text T) []byte {
	for i := range len(text) {
		c := text[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}
