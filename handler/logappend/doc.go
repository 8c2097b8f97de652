// Package logappend provides the directive log_append, the module sip.handlers.log_append, which
// adds a field to the request's entry in the access log.
//
//	log
//	log_append user {sip.auth.user}
//	log_append asked_for {sip.header.Subject}
//	respond 404
//
// The placeholders are replaced when the entry is written, after the final response, so they see
// what later handlers have set. A value is cut to 1,024 bytes. Without log in the server's block
// the directive has no effect. It answers nothing and returns no error of its own.
package logappend
