// Package store holds the storage engines that are built in and the writer that saves what changes
// in memory. Memory keeps everything in memory; Bolt keeps everything in one bbolt file that
// belongs to one process at a time. Both implement storage.Engine, and storagetest tests both.
//
// WriteBehind saves what nobody waits for: registrations, and the state of the delivery of keys. It
// remembers which keys of a table have changed, and writes their current values in batches, shortly
// after the change. What somebody was told is saved (the keys of a user) is written with
// Engine.Write directly.
//
// A batch written to Bolt is one transaction: it is on the disk when Write returns, and a power cut
// leaves either all of it or nothing. A damaged file is an error that says what to do, never a
// panic. Both engines hide an entry that has expired at once and delete it later, a part of the
// store at a time. Watchers follow a log of the latest 16,384 changes or more.
//
// Writers of Bolt take turns (Bolt.writing), and readers never wait for them. The change log has a
// lock of its own, which is taken while an engine is locked and never held while a watcher's
// function runs. WriteBehind.Mark takes only the lock of one of 16 shards: it is called on the path
// of packets.
//
// The package does not know what it stores: location and keys encode it, and engine opens and
// closes the engines.
package store
