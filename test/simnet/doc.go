// Package simnet is a network in memory, for tests: hosts with addresses, UDP and TCP between them,
// and paths that delay, lose, repeat and reorder what is sent, by chance that comes from a seed.
//
// It is made for a bubble of testing/synctest. Whoever waits for the network blocks durably there,
// so that time moves on, and every packet arrives at an instant of its own: what it brings about is
// over before the next one arrives. So the same seed gives the same run, as far as those who send
// are deterministic.
//
// A Host is a transport.Net: it can be the network of a server's transport.
package simnet
