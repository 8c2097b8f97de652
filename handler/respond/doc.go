// Package respond provides the directive respond, the module sip.handlers.respond, which answers a
// request with a status of your choice.
//
//	@scanner user_agent friendly-scanner* *sipvicious*
//	respond @scanner 403
//
//	respond 480 "Closed" {
//		header Retry-After 3600
//	}
//
// The status is 100 to 699, 200 by default; the reason phrase defaults to that of the RFC. Status,
// reason and header values take placeholders; a status that comes out as anything else is answered
// 500. Header fields that the server writes itself, such as Via, To or Content-Length, are an error
// when the configuration is loaded.
//
// A final response is stateless (RFC 3261 §8.2.7): a retransmitted request gets it again. A
// provisional one is sent only for INVITE (RFC 4320 §4.1), makes a server transaction, and lets the
// request go on to the next handler. ACK, which is never answered, and requests that already have a
// final response go on as well.
package respond
