package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/caddysip/caddysip/internal/clock"
)

// lockTimeout is how long to wait for another process to release the file: one that is about to end
// gets the time to.
const lockTimeout = time.Second

// The file has two buckets at its top: meta says what the file is, data has a bucket for each of
// ours.
var (
	bucketMeta  = []byte("caddysip")
	bucketData  = []byte("data")
	keyVersion  = []byte("version")
	keyRevision = []byte("revision")
)

// upgrades turn a file of one version into one of the next; the first upgrades from version 1. The
// version that is written is one more than there are upgrades.
var upgrades []func(*bolt.Tx) error

// OpenBolt opens a file, and creates it and its directory if there is none. If another process has
// the file it returns an error within two seconds.
func OpenBolt(path string) (*Bolt, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("making the directory of the storage file: %w", err)
	}
	created := false
	b, err := openBoltFile(path, &created)
	if err != nil && created {
		_ = os.Remove(path) // half a file would look like a damaged one
	}
	return b, err
}

func openBoltFile(path string, created *bool) (*Bolt, error) {
	db, file, err := openFile(path, created)
	if err == nil && !named(path, file) {
		_ = db.Close()
		db, file, err = openFile(path, created)
	}
	if err != nil {
		return nil, err
	}
	b := &Bolt{path: path, db: db, file: file, writing: make(chan struct{}, 1)}
	err = b.prepare()
	if err == nil {
		err = b.compact()
	}
	if err != nil {
		_ = b.closeFile()
		return nil, err
	}
	b.sweeper = clock.Every(sweepInterval, b.sweep)
	return b, nil
}

// named reports whether an open file is the one of that name. It is not when the process that held
// the lock before has compacted it meanwhile.
func named(path string, file *os.File) bool {
	opened, err := file.Stat()
	if err != nil {
		return true
	}
	info, err := os.Stat(path)
	return err == nil && os.SameFile(info, opened)
}

// errEmpty: a file that this server has created is never empty. One that has become empty must not
// silently be taken for a new one.
var errEmpty = errors.New("there is nothing in it")

// create opens the file, or creates it if there is none.
func create(path string, flag int, mode os.FileMode) (file *os.File, created bool, err error) {
	file, err = os.OpenFile(path, flag|os.O_CREATE|os.O_EXCL, mode)
	if !errors.Is(err, fs.ErrExist) {
		return file, err == nil, err
	}
	file, err = os.OpenFile(path, flag&^os.O_CREATE, mode)
	if err != nil {
		return nil, false, err
	}
	if info, err := file.Stat(); err == nil && info.Mode().IsRegular() && info.Size() == 0 {
		_ = file.Close()
		return nil, false, errEmpty
	}
	return file, false, nil
}

// OnOpen is called with every file that was opened, before anything else is done with it, unless it
// is nil. Tests set it to put a failing disk under the file.
var OnOpen func(path string, db *bolt.DB)

// openFile opens the file, whatever is in it.
func openFile(path string, created *bool) (db *bolt.DB, file *os.File, err error) {
	err = catch(func() (err error) {
		db, err = bolt.Open(path, 0o600, &bolt.Options{
			Timeout:      lockTimeout,
			FreelistType: bolt.FreelistMapType,
			NoStatistics: true,
			OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
				file, *created, err = create(name, flag, mode)
				return file, err
			},
		})
		return err
	})
	if err == nil {
		if OnOpen != nil {
			OnOpen(path, db)
		}
		return db, file, nil
	}
	if file != nil { // bbolt leaves it open, and locked, when it panics
		unlock(file)
		_ = file.Close()
	}
	var pathError *fs.PathError
	var errno syscall.Errno
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, nil, fmt.Errorf("the storage file %s is in use by another process: "+
			"stop that, or give this one another path", path)
	case errors.As(err, &pathError), errors.As(err, &errno):
		return nil, nil, fmt.Errorf("opening the storage file: %w", err)
	}
	return nil, nil, damaged(path, err)
}

// closeFile closes the file. With a damaged file bbolt might wait for a transaction that never
// ends: then the file is closed under it.
func (b *Bolt) closeFile() error {
	if b.broken.Load() != nil {
		unlock(b.file)
		return b.file.Close()
	}
	return b.db.Close()
}

// prepare initialises an empty file, upgrades an older one, and drops what has expired.
func (b *Bolt) prepare() error {
	version := uint64(len(upgrades) + 1)
	err := b.guard(func() error {
		old, err := b.check(version)
		if err != nil || old == version {
			return err
		}
		return b.db.Update(func(tx *bolt.Tx) error { return migrate(tx, old, version) })
	})
	if err != nil {
		return err
	}
	err = b.view(func(tx *bolt.Tx) error {
		b.log.start(revisionOf(tx))
		return nil
	})
	for done := err != nil; !done && err == nil; {
		// A disk that is full or failing is no reason not to start: what has expired is hidden in
		// any case.
		if done, err = b.sweepSome(10_000); err != nil && b.broken.Load() == nil {
			return nil
		}
	}
	return err
}

// check returns the file's version, 0 if it is empty, or an error if we cannot use the file.
func (b *Bolt) check(newest uint64) (version uint64, err error) {
	err = b.db.View(func(tx *bolt.Tx) error {
		if info, err := os.Stat(b.path); err == nil && info.Size() < tx.Size() {
			panic(fmt.Sprintf("%d bytes are missing at its end", tx.Size()-info.Size()))
		}
		meta := tx.Bucket(bucketMeta)
		if meta == nil {
			if k, _ := tx.Cursor().First(); k != nil {
				return errors.New(
					"it is a bbolt database, but not one of this server: give another path",
				)
			}
			return nil
		}
		v := meta.Get(keyVersion)
		if len(v) != 8 || tx.Bucket(bucketData) == nil {
			panic("it does not say what version it is")
		}
		version = binary.BigEndian.Uint64(v)
		if version > newest {
			return fmt.Errorf("it has version %d and this server knows versions up to %d: "+
				"use a newer server, or give another path", version, newest)
		}
		return nil
	})
	return version, err
}

// migrate upgrades a file from one version to another; from 0 it initialises a new one.
func migrate(tx *bolt.Tx, from, to uint64) error {
	meta, err := tx.CreateBucketIfNotExists(bucketMeta)
	if err != nil {
		return err
	}
	if from == 0 {
		if _, err := tx.CreateBucket(bucketData); err != nil {
			return err
		}
		from = to
	}
	for ; from < to; from++ {
		if err := upgrades[from-1](tx); err != nil {
			return fmt.Errorf("upgrading from version %d: %w", from, err)
		}
	}
	return meta.Put(keyVersion, binary.BigEndian.AppendUint64(nil, to))
}

// revisionOf returns the revision of the latest change in the file.
func revisionOf(tx *bolt.Tx) uint64 {
	if v := tx.Bucket(bucketMeta).Get(keyRevision); len(v) == 8 {
		return binary.BigEndian.Uint64(v)
	}
	return 0
}

func setRevision(tx *bolt.Tx, revision uint64) error {
	return tx.Bucket(bucketMeta).Put(keyRevision, binary.BigEndian.AppendUint64(nil, revision))
}

// boltEntries is a bucket that may not exist, which then is empty.
type boltEntries struct{ *bolt.Bucket }

func entries(tx *bolt.Tx, bucket string) boltEntries {
	return boltEntries{tx.Bucket(bucketData).Bucket([]byte(bucket))}
}

func (e boltEntries) get(key []byte) []byte {
	if e.Bucket == nil {
		return nil
	}
	return e.Bucket.Get(key)
}

func (e boltEntries) cursor() *bolt.Cursor {
	if e.Bucket == nil {
		return nil
	}
	return e.Bucket.Cursor()
}
