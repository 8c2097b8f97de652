// Package snomlrc provides the directive snom_lrc, the module sip.handlers.snom_lrc: LED remote
// control for Snom phones. A phone dials a number, and one of its function keys lights up.
//
// With its defaults, dialling 433 shows the lamp "hold" on key 2. This one switches a lamp for the
// night service, and makes the key itself switch it off again:
//
//	snom_lrc {
//		key   5
//		press *80
//		label "Night service {light}"
//		light *81 on red
//		light *80 off
//	}
//	register
//	proxy
//
// An INVITE that starts a call, comes from a Snom phone (user_agent) and is for a number with a
// light is answered 404 Not a call (respond), statelessly. Then one MESSAGE with an
// application/x-buttons document goes to where the INVITE came from, with the INVITE's Contact as
// its Request-URI; a retransmitted INVITE gets the answer again, but no second MESSAGE. Every other
// request goes on to the next handler.
//
// Where the phone has keys that layers say something about (docs/keys.md), the light is a record in
// the event layer of the caller, and is delivered as those are; a locked key stays as it is.
//
// The outcome of each MESSAGE is counted in caddy_sip_lrc_pushes_total as acknowledged, refused,
// timeout or failed, and all but the first are logged. The phone needs a function key of the type
// Button with the key's name as its number. Keys that are set for users, and not by dialling, are
// described in docs/keys.md.
package snomlrc
