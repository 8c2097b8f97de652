// Package rewrite has the handler that changes the Request-URI.
package rewrite
