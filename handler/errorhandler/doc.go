// Package errorhandler provides the directive error, the module sip.handlers.error, which refuses a
// request by returning an error.
//
// The error goes to the handle_errors routes of the server, so that one place decides how refusals
// look. If they do not answer, the request is answered with the status itself:
//
//	@foreign not remote_ip private_ranges
//	error @foreign 403 "{sip.source.ip} is not one of us"
//	register
//	proxy
//
//	handle_errors 4xx {
//		respond 404
//	}
//
// The status is 400 to 699, 500 by default. The message is for the log and for {sip.error.message};
// no client sees it. Both take placeholders; a status that comes out as anything else is answered
// 500. A request that already has a final response goes on to the next handler.
package errorhandler
