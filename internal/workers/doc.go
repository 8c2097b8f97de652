// Package workers runs functions that may block on a bounded number of goroutines. Users share a
// pool fairly: each may use a part of it, and waiting users take turns.
package workers
