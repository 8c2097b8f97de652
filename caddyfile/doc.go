// Package caddyfile is the global option "sip" of the Caddyfile: server blocks, named matchers,
// directives.
package caddyfile
