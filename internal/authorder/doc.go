// Package authorder checks that authentication comes first: it finds handlers that requests can
// reach without having been authenticated, although the server has a handler that authenticates.
//
// A Caddyfile and a JSON configuration are both turned into Steps, in the order in which requests
// run through them; Check follows them, with the conditions of their matchers, and returns what to
// tell the operator.
package authorder
