// Package glob matches text against patterns with * and ?. Domains, key profiles and the delivery
// of keys use it, partly on what arrives from the network, so it allocates nothing and never takes
// more than the product of both lengths.
package glob
