// Package interop runs clients that others have written, SIPp and sipsak, and the README's commands
// against the built server. They need those two programs, so that a build tag keeps the tests out
// of the others:
//
//	go test -tags interop -v ./test/interop
package interop
