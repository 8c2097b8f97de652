package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
)

// bbolt keeps the pages that it no longer uses, and never makes its file smaller. A copy has only
// what is in use.

// copyPart is about how many bytes of a copy are written at a time.
const copyPart = 1 << 20

// copyTo fills an empty file with what is stored at one moment. It returns the copy, open, which
// nothing has waited to be on the disk. When it fails, file is closed.
func (b *Bolt) copyTo(ctx context.Context, file *os.File) (*bolt.DB, error) {
	var db *bolt.DB
	err := b.guard(func() (err error) {
		db, err = bolt.Open(file.Name(), 0o600, &bolt.Options{
			FreelistType: bolt.FreelistMapType,
			NoStatistics: true,
			NoSync:       true,
			NoGrowSync:   true, // it grows by what is written, not in steps
			OpenFile:     func(string, int, os.FileMode) (*os.File, error) { return file, nil },
		})
		if err != nil {
			return err
		}
		return b.db.View(func(tx *bolt.Tx) error { return copyAll(ctx, db, tx) })
	})
	b.releaseAll()
	if err == nil {
		return db, nil
	}
	if db != nil {
		_ = db.Close()
	} else {
		_ = file.Close()
	}
	return nil, err
}

// copier copies in several transactions, so that little of the copy is in memory.
type copier struct {
	ctx  context.Context
	db   *bolt.DB
	tx   *bolt.Tx
	size int // bytes in tx
}

// copyAll copies what a transaction sees. bolt.Compact does not do: it commits its last part when
// its transaction of the source has ended, whose pages may have been written to by then.
func copyAll(ctx context.Context, to *bolt.DB, from *bolt.Tx) (err error) {
	c := copier{ctx: ctx, db: to}
	if c.tx, err = to.Begin(true); err != nil {
		return err
	}
	defer func() { _ = c.tx.Rollback() }() // of what is not committed
	err = from.ForEach(func(name []byte, b *bolt.Bucket) error { return c.bucket(b, name) })
	if err != nil {
		return err
	}
	return c.tx.Commit()
}

// bucket copies a bucket, whose name follows those of the buckets that it is in.
func (c *copier) bucket(from *bolt.Bucket, path ...[]byte) error {
	to, err := c.open(path)
	if err != nil {
		return err
	}
	return from.ForEach(func(k, v []byte) (err error) {
		if v == nil {
			if err = c.bucket(from.Bucket(k), append(path, k)...); err == nil {
				to, err = c.open(path)
			}
			return err
		}
		if c.size += len(k) + len(v); c.size > copyPart {
			if err = c.next(); err != nil {
				return err
			}
			if to, err = c.open(path); err != nil {
				return err
			}
		}
		return to.Put(k, v)
	})
}

// open returns a bucket of the copy, which it creates if there is none.
func (c *copier) open(path [][]byte) (*bolt.Bucket, error) {
	b, err := c.tx.CreateBucketIfNotExists(path[0])
	for _, name := range path[1:] {
		if err == nil {
			b, err = b.CreateBucketIfNotExists(name)
		}
	}
	if err != nil {
		return nil, err
	}
	b.FillPercent = 1 // keys come in order
	return b, nil
}

// next goes on in another transaction.
func (c *copier) next() error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	if err := c.tx.Commit(); err != nil {
		return err
	}
	tx, err := c.db.Begin(true)
	if err == nil {
		c.tx, c.size = tx, 0
	}
	return err
}

// releaseAll gives all of the file's mapped pages back to the system.
func (b *Bolt) releaseAll() {
	_ = b.view(func(tx *bolt.Tx) error {
		b.releasePages(tx)
		return nil
	})
}

// minCompact is the size in bytes from which on a file is compacted.
const minCompact = 4 << 20

// compact puts a copy in the place of a file of which less than a third is in use. Nobody else may
// use b yet. Where that is not possible, for lack of room for example, the file stays as it is.
func (b *Bolt) compact() error {
	if sparse, err := b.sparse(); err != nil || !sparse {
		return err
	}
	path, err := filepath.EvalSymlinks(b.path)
	if err != nil {
		return nil
	}
	temporary := path + ".compact" // only who holds the file's lock writes to it
	file, err := os.OpenFile(temporary, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil
	}
	db, err := b.copyTo(context.Background(), file)
	if err == nil {
		db.NoSync, db.NoGrowSync = false, false
		if err = sameOwner(file, b.file); err == nil {
			err = db.Sync()
		}
		if err == nil {
			err = os.Rename(temporary, path)
		}
		if err != nil {
			_ = db.Close()
		}
	}
	if err != nil {
		_ = os.Remove(temporary)
		if damage := b.broken.Load(); damage != nil {
			return *damage
		}
		return nil
	}
	// Whoever waits for the lock of the old file gets it now, and sees that it is no longer the
	// file of that name.
	_ = b.closeFile()
	b.db, b.file = db, file
	b.releaseAll()
	if OnOpen != nil {
		OnOpen(b.path, db)
	}
	return syncDirectory(filepath.Dir(path))
}

// sparse reports whether less than a third of the file is in use, and it is not small.
func (b *Bolt) sparse() (sparse bool, err error) {
	info, err := b.file.Stat()
	if err != nil || info.Size() < minCompact {
		return false, err
	}
	err = b.view(func(tx *bolt.Tx) error {
		defer b.releasePages(tx)
		stats := tx.Bucket(bucketData).Stats()
		used := stats.LeafInuse + stats.BranchInuse
		sparse = int64(used) < info.Size()/3
		return nil
	})
	return sparse, err
}

// syncDirectory waits until what a directory says is on the disk. Until then a power cut could
// bring the old file back, without what was written to the new one.
func syncDirectory(path string) error {
	dir, err := os.Open(path)
	if err == nil {
		err = dir.Sync()
		_ = dir.Close()
	}
	if err != nil {
		return fmt.Errorf("writing the directory of the storage file: %w", err)
	}
	return nil
}
