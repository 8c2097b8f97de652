// Package keys knows what the function keys of a user's phones should show.
//
// Several layers may say something about a key: profiles of the configuration, the admin API, the
// user, and events such as calls. The highest layer that says something wins; when it lets go, what
// lies below shows again. A locked record of the admin or profile layer stands above the user
// layer. Store.Apply changes records, atomically and on the disk before it returns; Store.Effective
// computes from memory what a phone should show.
//
// The store is engine's; delivery is told of each change through Options.OnChange and brings the
// keys to the phones. Whoever changes an address-of-record holds its stripe, one of 64 locks, until
// the change is in the storage and in memory; Store.mu guards the records in memory, is taken after
// a stripe, and is never held while the storage writes. OnChange runs without any lock. The package
// does not know which phones exist, and sends nothing.
package keys
