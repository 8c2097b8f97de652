// Package header has the handler that changes header fields of requests.
package header
