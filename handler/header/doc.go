// Package header provides the directive header, the module sip.handlers.header, which sets, adds
// and removes header fields of a request, for the handlers after it and for whoever the request is
// relayed to.
//
//	header {
//		-P-Preferred-Identity
//		P-Asserted-Identity <sip:{sip.auth.user}@example.com>
//		+X-Seen-By caddysip
//	}
//	proxy
//
// A leading - removes the field, + adds a line, and a bare name replaces all lines of the field.
// Removal and replacement come before addition. Names match in any case and in their compact form
// (RFC 3261 §7.3.3). Values take placeholders and cannot start a new line.
//
// Via, From, To, Call-ID, CSeq, Max-Forwards, Content-Length, Route and Record-Route cannot be
// changed: naming one is an error when the configuration is loaded. A request that the change would
// make malformed or too large is refused with the status that such a message would get on arrival.
package header
