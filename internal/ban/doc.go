// Package ban keeps the sources from which nothing is accepted for a while.
//
// List holds banned addresses and prefixes, 100,000 at most by default. The engine asks it about
// every message and connection; rate_limit, digest_auth (through Engine.Ban) and the admin API add
// to it. Marks remembers in less memory, and without a reason, that a source or a user at a source
// is marked until some time; the engine and digest_auth use it. An IPv6 source is a /64.
//
// A look-up takes one atomic load while the list is empty, else the lock of one shard. Bans are not
// stored: a restart ends them.
package ban
