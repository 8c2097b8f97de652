// Package ipset parses lists of IP addresses and CIDR ranges from a configuration, and looks
// addresses up in them. Special recognises addresses that are not a single host on the Internet,
// such as loopback, private and multicast ones.
package ipset
