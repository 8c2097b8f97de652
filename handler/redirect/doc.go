// Package redirect has the handler that sends callers elsewhere.
package redirect
