// Package match provides the request matchers of the SIP app, the modules sip.matchers.*: method,
// uri_user, uri_host, uri_regexp, from_user, from_host, to_user, to_host, user_agent, header,
// header_regexp, remote_ip, transport, in_dialog, registered, authenticated, key_pressed, vars,
// expression and not.
//
//	@internal {
//		method INVITE
//		remote_ip private_ranges
//		from_user 1??
//	}
//	proxy @internal
//
//	@night expression `{sip.uri.user} == "100" && {sip.transport} == "udp"`
//	respond @night 480
//
//	respond 403
//
// All matchers of a set must match; a set that is given again under the same name is an
// alternative.
//
// In patterns * stands for any text and ? for one character; a backslash before one of these, or
// before a backslash, makes it literal. Users are compared in case, with escapes decoded (RFC 3261
// §19.1.4); hosts and User-Agent without. Values take placeholders. What one of a request brings in
// is compared literally, and what a global one does, such as {env.NAME}, is part of the pattern. An
// error of a matcher, such as that of an expression, is answered 500.
//
// docs/caddyfile.md has a table of what each one matches, docs/matcher.md shows how to write one.
package match
