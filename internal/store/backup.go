package store

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
)

// Backup returns a copy of the whole file as it is at one moment, positioned at its start. The copy
// is a file beside the original, on the same disk, and is removed when it is closed. Reading it may
// take any time: a transaction open for as long would keep the original from reusing free pages.
func (b *Bolt) Backup(ctx context.Context) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	file, err := os.CreateTemp(filepath.Dir(b.path), ".backup-*")
	if err != nil {
		return nil, fmt.Errorf("making a copy of the storage file: %w", err)
	}
	copied := &backup{file, os.Remove(file.Name()) == nil}
	err = b.view(func(tx *bolt.Tx) error {
		_, err := tx.WriteTo(untilDone{ctx, file})
		return err
	})
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		_ = copied.Close()
		return nil, fmt.Errorf("making a copy of the storage file: %w", err)
	}
	return copied, nil
}

// backup is a temporary file that is removed when it is closed.
type backup struct {
	*os.File
	removed bool // already, while open, where the system allows that: then a crash leaves nothing
}

// Close closes and removes the file.
func (b *backup) Close() error {
	err := b.File.Close()
	if !b.removed {
		_ = os.Remove(b.Name())
	}
	return err
}

// untilDone passes writes on until ctx ends.
type untilDone struct {
	ctx context.Context
	w   io.Writer
}

func (u untilDone) Write(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.w.Write(p)
}
