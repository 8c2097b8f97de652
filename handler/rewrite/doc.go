// Package rewrite provides the directive rewrite, the module sip.handlers.rewrite, which replaces
// the Request-URI. The matchers and handlers after it see the new one, and proxy relays to it; To
// stays as it is (RFC 3261 §16.6).
//
//	@outside uri_regexp out ^sip:0([0-9]+)@
//	handle @outside {
//		rewrite sip:{sip.regexp.out.1}@trunk.example.net
//		proxy sip:trunk.example.net
//	}
//
// The URI is sip, sips or tel, without headers (RFC 3261 §19.1.1). What a placeholder puts into the
// user part is escaped. If the URI comes out malformed, such as sip:@example.com because a variable
// is empty, the answer is 400.
package rewrite
