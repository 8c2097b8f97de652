// Package unasked finds handlers that requests come to without having been asked for a password,
// though the server has a handler that asks.
package unasked
