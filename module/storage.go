package module

import "github.com/caddysip/caddysip/internal/storage"

// Storage is a storage module (sip.storage.*): it says where registrations and key records are kept, so that they survive a restart. Identity names the
// place, Open opens it; Provision must open nothing, since configurations are also loaded only to be checked. What Open returns must pass the tests of
// package storagetest.
type Storage = storage.Storage

// StorageEngine is an open storage: keys with values, expiries and revisions in buckets. The registrations are in the bucket "registrations", the
// key records in "keys".
type StorageEngine = storage.Engine

// What a StorageEngine reads and writes.
type (
	StorageEntry  = storage.Entry  // a key and its value
	StorageEvent  = storage.Event  // a change, as a watcher sees it
	StorageChange = storage.Change // sets or deletes a key
	StorageBatch  = storage.Batch  // changes that are made together
)

// StorageAbsent is the Expect of a StorageChange that is made only if the key has no value.
const StorageAbsent = storage.Absent

// The errors of a StorageEngine, to be tested for with errors.Is.
var (
	ErrStorageNotFound = storage.ErrNotFound // the key has no value
	ErrStorageConflict = storage.ErrConflict // the key has another revision than expected; nothing was written
	ErrStorageGone     = storage.ErrGone     // changes were missed: range, and watch from there
	ErrStorageInvalid  = storage.ErrInvalid  // a bucket, key or value is empty or too large
	ErrStorageClosed   = storage.ErrClosed   // the engine is closed
)
