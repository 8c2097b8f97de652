// Package directive reads the block of a Caddyfile directive: the one place that knows how options
// are refused that are unknown, stand twice or have the wrong values.
package directive
