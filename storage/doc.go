// Package storage is what a storage engine is to the server: bytes under a key in a bucket, with an
// expiry and a revision. A module in the namespace sip.storage is a [Storage]; what it opens is an
// [Engine], which must pass the tests of package storagetest.
//
// Registrations are in the bucket "registrations", key records in "keys".
package storage
