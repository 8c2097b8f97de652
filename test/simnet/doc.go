// Package simnet simulates a network in memory for tests: hosts with addresses, UDP and TCP between
// them, and paths that delay, lose, duplicate and reorder packets, at random from a seed.
//
// It is made for testing/synctest. Waiting for the network blocks durably, so that time in the
// bubble moves on. No two packets arrive at the same instant, so everything that one packet causes
// has happened before the next one arrives. The same seed therefore gives the same run, if the
// senders are deterministic.
//
// A Host implements transport.Net, so a server's transport can run on it.
package simnet
