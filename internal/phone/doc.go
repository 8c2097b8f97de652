// Package phone simulates a Snom phone: it registers, calls and is called, shows its function keys
// as a server sets them with application/x-buttons, and presses them.
//
// The command "snom", the tests of the whole server and the interoperability tests use it. Its SIP
// is sipgo's, not the server's own, so that a mistake in one shows in the other. Methods of a Phone
// and its calls may be used from any goroutine. Nothing is shared between phones, so that hundreds
// can live in a process. It sends no media.
package phone
