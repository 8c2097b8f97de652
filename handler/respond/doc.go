// Package respond has the handler that answers requests.
package respond
