package store

import (
	"fmt"
	"time"

	"github.com/caddysip/caddysip/storage"
)

// entry returns an entry; expires is in milliseconds since 1970, as millis returns it.
func entry(key string, value []byte, revision uint64, expires int64) storage.Entry {
	return storage.Entry{Key: key, Value: value, Revision: revision, Expires: timeOf(expires)}
}

func notFound(bucket, key string) error {
	return fmt.Errorf("%q in %s: %w", key, bucket, storage.ErrNotFound)
}

// expired reports whether something that ends at a time has ended, both in milliseconds since 1970;
// 0 never ends.
func expired(at, now int64) bool { return at != 0 && at <= now }

// millis returns t in milliseconds since 1970, rounded up so that nothing ends early; 0 for the
// zero time, which means never.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return max(1, t.Add(time.Millisecond-1).UnixMilli())
}

// timeOf is the inverse of millis.
func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
