// Package storage is the interface between the server and what keeps its state: bytes under a key
// in a bucket, with an expiry and a revision.
//
// A [Storage] is a module in the namespace sip.storage: it has a configuration and says what place
// that stands for. [Storage.Open] returns an [Engine], which stays open over a reload that leaves
// the place.
//
//	revisions, err := engine.Write(ctx, storage.Batch{
//		Changes: []storage.Change{{
//			Bucket:  "registrations",
//			Key:     "101@example.com",
//			Value:   value,
//			Expires: time.Now().Add(10 * time.Minute),
//			Expect:  storage.Absent, // else ErrConflict, and nothing is written
//		}},
//		Sync: true, // on disk when Write returns
//	})
//
// A batch is written as a whole or not at all. Revisions rise over the whole store, so that
// [Engine.Range], which returns one, and [Engine.Watch], which starts after one, miss nothing
// between them. Errors wrap [ErrNotFound], [ErrConflict], [ErrGone], [ErrInvalid] or [ErrClosed].
//
// The server keeps registrations in the bucket "registrations", key records in "keys", and what
// phones have acknowledged in "delivery"; values are opaque. Look-ups of phones never come here:
// they are answered from memory.
//
// An engine must pass the tests of module/storagetest. The built-in ones are the modules of
// module/storage, and docs/storage.md shows how to write another.
package storage
