// Package location is the table that a registrar fills and a proxy reads: which Contacts an
// address-of-record is bound to (RFC 3261 §10). It lives in memory; engine saves it to the
// configured storage and restores it when the server starts.
//
// Store.Update applies a REGISTER (RFC 3261 §10.3), and device.go says which bindings it supersedes
// because they seem to be the same phone's. Store.Lookup returns where an address-of-record is
// called, in order of preference, and Store.All the superseded bindings as well. Store.Range lists
// all, Store.Remove ends them. A Binding never changes once it is handed out, so that it may be
// kept and read from any goroutine. Record, Store.AppendStored and ParseStored are its stored form;
// Store.Restore puts it back.
//
// A binding at rest costs its bytes and nothing else: no goroutine, no timer. Look-ups skip what
// has expired, and one sweeper for the whole store removes it some seconds later. Hooks in Options
// report what was added, moved, superseded, removed and expired.
//
// The table is spread over 256 shards, each with a lock of its own that is held only in memory and
// for no longer than one address-of-record takes. While a shard is locked, the lock of the
// interner, which keeps what bindings have in common, may be taken; no other lock is. Hooks run
// without any lock.
//
// The store knows nothing of authentication, of who may register what, or of the wire format of
// REGISTER: the register handler does. It does not check whether a phone is still reachable.
package location
