// Package ipset reads lists of IP addresses and CIDR ranges from a configuration, tells whether an
// address is in one of them, and tells which addresses are not those of a single host on the
// Internet (loopback, private, multicast and so on).
package ipset
