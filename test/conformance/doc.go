// Package conformance has the tests that send a running server what nobody should: the torture
// messages of RFC 4475 and RFC 5118, floods of parameters and header lines, and text that tries to
// become a header of its own. What they see on the wire is written to docs/conformance.md.
package conformance
