package store

import (
	"context"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/caddysip/caddysip/storage"
)

// sweepLimit is how many entries are examined at a time. A store with a million of them is walked
// in some hours; whoever must notice an expiry at once keeps the time himself, as location does.
const sweepLimit = 1000

// sweep deletes what has expired, a part of the file at a time.
func (b *Bolt) sweep() {
	_, _ = b.sweepSome(sweepLimit) // whoever uses the file next reports the error
}

// sweepSome examines some entries and deletes those that have expired. It returns true when it has
// reached the end.
func (b *Bolt) sweepSome(limit int) (done bool, err error) {
	type location struct{ bucket, key string }
	var found []location
	err = b.view(func(tx *bolt.Tx) error {
		defer b.release(tx, limit)
		now := time.Now().UnixMilli()
		buckets := tx.Bucket(bucketData).Cursor()
		name, _ := buckets.Seek(b.sweepBucket)
		for ; name != nil; name, _ = buckets.Next() {
			c := entries(tx, string(name)).cursor()
			for k, v := c.Seek(b.sweepKey); k != nil; k, v = c.Next() {
				if limit--; limit < 0 {
					b.sweepBucket = append(b.sweepBucket[:0], name...)
					b.sweepKey = append(b.sweepKey[:0], k...)
					return nil
				}
				if _, expires, _ := parseEntry(v); expired(expires, now) {
					found = append(found, location{string(name), string(k)})
				}
			}
			b.sweepKey = b.sweepKey[:0]
		}
		b.sweepBucket, done = b.sweepBucket[:0], true
		return nil
	})
	if err != nil || len(found) == 0 {
		return done, err
	}
	return done, b.update(context.Background(), func(w *boltWriter) error {
		now := time.Now().UnixMilli()
		for _, p := range found {
			data := entries(w.tx, p.bucket).get([]byte(p.key))
			if data == nil {
				continue
			}
			if _, expires, _ := parseEntry(data); !expired(expires, now) {
				continue // it was written again meanwhile
			}
			if _, err := w.change(&storage.Change{Bucket: p.bucket, Key: p.key}, now); err != nil {
				return err
			}
		}
		return nil
	})
}
