package store

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
)

// Backup returns a copy of what is stored at one moment, a file of its own, positioned at its start.
// It is beside the original, on the same disk, and is removed when it is closed. Reading it may take
// any time: a transaction open for as long would keep the original from reusing free pages.
func (b *Bolt) Backup(ctx context.Context) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	copied, err := b.backup(ctx)
	if err != nil {
		return nil, fmt.Errorf("making a copy of the storage file: %w", err)
	}
	return copied, nil
}

func (b *Bolt) backup(ctx context.Context) (*backup, error) {
	file, err := os.CreateTemp(filepath.Dir(b.path), ".backup-*")
	if err != nil {
		return nil, err
	}
	reader, err := os.Open(file.Name())
	copied := &backup{reader, file.Name(), os.Remove(file.Name()) == nil}
	if err != nil {
		_ = file.Close()
	} else {
		var db *bolt.DB
		if db, err = b.copyTo(ctx, file); err == nil {
			err = db.Close()
		}
	}
	if err != nil {
		_ = copied.Close()
		return nil, err
	}
	return copied, nil
}

// backup is a temporary file that is removed when it is closed.
type backup struct {
	*os.File
	name    string
	removed bool // already, while open, where the system allows that: then a crash leaves nothing
}

// Close closes and removes the file.
func (b *backup) Close() error {
	err := b.File.Close()
	if !b.removed {
		_ = os.Remove(b.name)
	}
	return err
}
