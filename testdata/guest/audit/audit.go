// Package audit is a storage: what another storage keeps, with a journal of who was told what.
package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/storage"
)

func init() {
	caddy.RegisterModule(new(Audit))
}

// Audit keeps everything in another storage. Each change of a key record that was written there is a
// line of JSON in a file besides.
type Audit struct {
	// The file. It is appended to.
	File string `json:"file"`

	// The storage that keeps things.
	StorageRaw json.RawMessage `json:"storage" caddy:"namespace=sip.storage inline_key=module"`

	storage storage.Storage
}

// CaddyModule returns the Caddy module information.
func (*Audit) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.storage.audit", New: func() caddy.Module { return new(Audit) }}
}

// UnmarshalCaddyfile sets up the storage from Caddyfile tokens. Syntax:
//
//	audit <file> {
//		<storage> ...
//	}
func (a *Audit) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if d.Next(); !d.AllArgs(&a.File) {
		return d.ArgErr()
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if a.StorageRaw != nil {
			return d.Err("there is a storage already")
		}
		name := d.Val()
		inner, err := caddyfile.UnmarshalModule(d, "sip.storage."+name)
		if err != nil {
			return err
		}
		a.StorageRaw = caddyconfig.JSONModuleObject(inner, "module", name, nil)
	}
	if a.StorageRaw == nil {
		return d.Err("a storage is needed, such as bolt")
	}
	return nil
}

// Provision loads the other storage. It opens nothing.
func (a *Audit) Provision(ctx caddy.Context) error {
	if a.StorageRaw == nil {
		return errors.New("a storage is needed")
	}
	m, err := ctx.LoadModule(a, "StorageRaw")
	if err != nil {
		return err
	}
	inner, ok := m.(storage.Storage)
	if !ok {
		return fmt.Errorf("%T is no storage", m)
	}
	a.storage = inner
	return nil
}

// Identity implements storage.Storage.
func (a *Audit) Identity() string { return "audit:" + a.File + ":" + a.storage.Identity() }

// Open implements storage.Storage.
func (a *Audit) Open(ctx context.Context) (storage.Engine, error) {
	f, err := os.OpenFile(a.File, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	inner, err := a.storage.Open(ctx)
	if err != nil {
		f.Close()
		return nil, err
	}
	return &engine{Engine: inner, file: f}, nil
}

// engine writes the journal.
type engine struct {
	storage.Engine
	file *os.File
}

// entry is a line of the journal.
type entry struct {
	Time     time.Time `json:"time"`
	Key      string    `json:"key"`
	Revision uint64    `json:"revision"`
	Deleted  bool      `json:"deleted,omitempty"`
}

// Write implements storage.Engine. The journal must not say what was not written, so it comes after;
// that it cannot be written is no reason to say that the change was not made.
func (e *engine) Write(ctx context.Context, b storage.Batch) ([]uint64, error) {
	revisions, err := e.Engine.Write(ctx, b)
	if err != nil {
		return nil, err
	}
	var lines []byte
	for i, c := range b.Changes {
		if c.Bucket != "keys" {
			continue
		}
		line, err := json.Marshal(entry{time.Now(), c.Key, revisions[i], c.Value == nil})
		if err == nil {
			lines = append(append(lines, line...), '\n')
		}
	}
	if lines != nil {
		_, _ = e.file.Write(lines) // one write, so that lines of two do not mix
	}
	return revisions, nil
}

// Close implements storage.Engine. It may be called again.
func (e *engine) Close() error {
	err := e.Engine.Close()
	if e := e.file.Close(); !errors.Is(e, os.ErrClosed) {
		err = errors.Join(err, e)
	}
	return err
}

// Interface guards
var (
	_ caddy.Provisioner     = (*Audit)(nil)
	_ caddyfile.Unmarshaler = (*Audit)(nil)
	_ storage.Storage       = (*Audit)(nil)
	_ storage.Engine        = (*engine)(nil)
)
