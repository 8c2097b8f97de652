// Package ratelimit has the handler that gives floods nothing.
package ratelimit
