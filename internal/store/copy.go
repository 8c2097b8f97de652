package store

import (
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
func (b *Bolt) copyTo(file *os.File) (*bolt.DB, error) {
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
		return bolt.Compact(db, b.db, copyPart)
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
	db, err := b.copyTo(file)
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
