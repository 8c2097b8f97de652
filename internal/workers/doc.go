// Package workers runs what may block on goroutines of a bounded number. Users share a pool fairly:
// each has a part of it, and of those who wait each has a turn after the other.
package workers
