package storage

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/internal/globals"
	"github.com/caddysip/caddysip/internal/store"
	"github.com/caddysip/caddysip/storage"
)

func init() {
	caddy.RegisterModule(&Bolt{})
	caddy.RegisterModule(&Memory{})
}

// Memory keeps registrations and key records over a reload, but not over a restart: phones can be
// called again when they have renewed their registration.
type Memory struct{}

// CaddyModule returns the Caddy module information.
func (*Memory) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.storage.memory", New: func() caddy.Module { return new(Memory) }}
}

// Identity implements storage.Storage.
func (*Memory) Identity() string { return "memory" }

// Open implements storage.Storage.
func (*Memory) Open(context.Context) (storage.Engine, error) { return store.NewMemory(), nil }

// Bolt keeps registrations and key records in one file, a bbolt database, so that they survive a
// restart, a crash and a power cut. What a phone registers is in the file within a second, while
// the disk keeps up; nothing waits for that. The file belongs to one process at a time.
type Bolt struct {
	// The file. It is made when there is none, as is its directory. Default: `sip/sip.db` in
	// Caddy's data directory.
	Path string `json:"path,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Bolt) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.storage.bolt", New: func() caddy.Module { return new(Bolt) }}
}

// Provision finds out which file it is. It does not touch it.
func (b *Bolt) Provision(caddy.Context) (err error) {
	b.Path, err = b.path()
	return err
}

// path returns the file as an absolute path: two ways to write one file are one storage.
func (b *Bolt) path() (string, error) {
	if b.Path == "" {
		return filepath.Join(caddy.AppDataDir(), "sip", "sip.db"), nil
	}
	text, err := globals.Text(b.Path)
	if err != nil {
		return "", fmt.Errorf("path: %w", err)
	}
	path, err := filepath.Abs(text)
	if err != nil {
		return "", fmt.Errorf("path %s: %w", text, err)
	}
	return path, nil
}

// Identity implements storage.Storage.
func (b *Bolt) Identity() string { return "bolt:" + b.Path }

// Open implements storage.Storage.
func (b *Bolt) Open(context.Context) (storage.Engine, error) {
	e, err := store.OpenBolt(b.Path)
	if err != nil {
		return nil, err
	}
	return e, nil
}

// Interface guards
var (
	_ storage.Storage   = (*Memory)(nil)
	_ storage.Storage   = (*Bolt)(nil)
	_ caddy.Provisioner = (*Bolt)(nil)
)
