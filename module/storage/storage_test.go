package storage_test

import (
	"path/filepath"
	"testing"

	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/module/storage"
	"github.com/caddysip/caddysip/module/storagetest"
)

func TestMemory(t *testing.T) {
	storagetest.Run(t, storagetest.Suite{
		New: func(*testing.T) module.Storage { return new(storage.Memory) },
	})
}

func TestBolt(t *testing.T) {
	storagetest.Run(t, storagetest.Suite{
		New: func(t *testing.T) module.Storage {
			return &storage.Bolt{Path: filepath.Join(t.TempDir(), "a", "sip.db")}
		},
		Durable: true,
	})
}
