// Package redirect provides the directive redirect, the module sip.handlers.redirect, which answers
// 302 Moved Temporarily with one Contact per URI, so that the client calls there itself (RFC 3261
// §8.3, §21.3.3).
//
//	@old uri_host old.example.com
//	redirect @old sip:{sip.uri.user}@example.com sip:{sip.uri.user}@backup.example.com
//
// URIs are sip, sips or tel. Several are listed with falling q values (RFC 3261 §20.10), the first
// one being preferred. What a placeholder puts into a user part is escaped. If a URI comes out
// malformed, the answer is 500.
//
// ACK, CANCEL and requests that already have a final response go on to the next handler. To relay a
// call instead of sending the caller away, use proxy.
package redirect
