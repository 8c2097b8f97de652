// Package glob matches text against patterns with * and ?. Matchers, key profiles and the delivery
// of keys use it on text from the network, so it allocates nothing, and its time is bounded by the
// product of both lengths.
package glob
