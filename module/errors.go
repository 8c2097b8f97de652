package module

import (
	"errors"
	"fmt"
)

// HandlerError is an error with the response it asks for.
type HandlerError struct {
	Status int    // 400-699
	Reason string // the reason phrase; empty: the status's usual one
	Err    error  // what went wrong; logged, never sent
}

// Error returns an error that is answered with status, unless a handle_errors route says otherwise.
// err may be nil.
func Error(status int, err error) HandlerError { return HandlerError{Status: status, Err: err} }

func (e HandlerError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("%d %s", e.Status, reasonOf(e.Status, e.Reason))
	}
	return fmt.Sprintf("%d %s: %v", e.Status, reasonOf(e.Status, e.Reason), e.Err)
}

// Unwrap returns what went wrong.
func (e HandlerError) Unwrap() error { return e.Err }

// asHandlerError gives any error a status: 500 unless it has one.
func asHandlerError(err error) HandlerError {
	he, ok := err.(HandlerError)
	if !ok {
		var wrapped HandlerError // in the heap
		ok = errors.As(err, &wrapped)
		he = wrapped
	}
	if !ok || he.Status < 300 || he.Status > 699 {
		return HandlerError{Status: 500, Err: err}
	}
	return he
}

// StatusText returns the usual reason phrase of a status code (RFC 3261 §21 and its extensions), or
// a phrase for its class.
func StatusText(status int) string {
	if text, ok := statusText[status]; ok {
		return text
	}
	return [...]string{"Unknown", "Progress", "OK", "Redirect", "Request Failure", "Server Failure", "Global Failure"}[min(max(status/100, 0), 6)]
}

func reasonOf(status int, reason string) string {
	if reason != "" {
		return reason
	}
	return StatusText(status)
}

var statusText = map[int]string{
	100: "Trying", 180: "Ringing", 181: "Call Is Being Forwarded", 182: "Queued", 183: "Session Progress", 199: "Early Dialog Terminated",
	200: "OK", 202: "Accepted", 204: "No Notification",
	300: "Multiple Choices", 301: "Moved Permanently", 302: "Moved Temporarily", 305: "Use Proxy", 380: "Alternative Service",
	400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
	406: "Not Acceptable", 407: "Proxy Authentication Required", 408: "Request Timeout", 410: "Gone", 412: "Conditional Request Failed",
	413: "Request Entity Too Large", 414: "Request-URI Too Long", 415: "Unsupported Media Type", 416: "Unsupported URI Scheme",
	417: "Unknown Resource-Priority", 420: "Bad Extension", 421: "Extension Required", 422: "Session Interval Too Small",
	423: "Interval Too Brief", 428: "Use Identity Header", 429: "Provide Referrer Identity", 430: "Flow Failed",
	433: "Anonymity Disallowed", 436: "Bad Identity-Info", 437: "Unsupported Certificate", 438: "Invalid Identity Header",
	439: "First Hop Lacks Outbound Support", 440: "Max-Breadth Exceeded", 469: "Bad Info Package", 470: "Consent Needed",
	480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist", 482: "Loop Detected", 483: "Too Many Hops",
	484: "Address Incomplete", 485: "Ambiguous", 486: "Busy Here", 487: "Request Terminated", 488: "Not Acceptable Here",
	489: "Bad Event", 491: "Request Pending", 493: "Undecipherable", 494: "Security Agreement Required",
	500: "Server Internal Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Server Time-out",
	505: "Version Not Supported", 513: "Message Too Large", 580: "Precondition Failure",
	600: "Busy Everywhere", 603: "Decline", 604: "Does Not Exist Anywhere", 606: "Not Acceptable", 607: "Unwanted",
}
