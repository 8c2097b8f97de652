package storage_test

import (
	"path/filepath"
	"testing"

	"github.com/caddysip/caddysip/module/storage"
	"github.com/caddysip/caddysip/module/storagetest"
	sipstorage "github.com/caddysip/caddysip/storage"
)

func TestMemory(t *testing.T) {
	storagetest.Run(t, storagetest.Suite{
		New: func(*testing.T) sipstorage.Storage { return new(storage.Memory) },
	})
}

func TestBolt(t *testing.T) {
	storagetest.Run(t, storagetest.Suite{
		New: func(t *testing.T) sipstorage.Storage {
			return &storage.Bolt{Path: filepath.Join(t.TempDir(), "a", "sip.db")}
		},
		Durable: true,
	})
}
