// Package ban keeps the sources that nothing is accepted from for a while.
//
// List holds banned addresses and prefixes, 100,000 at most by default; the engine asks it about
// every message and every connection, rate_limit and digest_auth (through Engine.Ban) and the admin
// API add to it. Marks remembers, with less memory and no reason, that something is so of a source
// until a time: the engine and digest_auth use it. IPv6 sources count by their /64. Looking up
// takes one atomic load while the list is empty, and otherwise the lock of one part of the list.
// Bans are not stored: a restart ends them.
package ban
