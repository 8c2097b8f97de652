package storage

import (
	"errors"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/internal/directive"
)

// UnmarshalCaddyfile sets up the storage from Caddyfile tokens. Syntax:
//
//	memory
func (*Memory) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name
	return directive.NoMore(d, "memory")
}

// UnmarshalCaddyfile sets up the storage from Caddyfile tokens. Syntax:
//
//	bolt [<file>] {
//		path <file>
//	}
func (b *Bolt) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name
	if d.NextArg() {
		b.Path = d.Val()
		if d.NextArg() {
			return d.ArgErr()
		}
	}
	return directive.Block(d, "bolt", directive.Options{
		"path": directive.One(func(path string) error {
			if b.Path != "" {
				return errors.New("is given already")
			}
			b.Path = path
			return nil
		}),
	})
}

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*Memory)(nil)
	_ caddyfile.Unmarshaler = (*Bolt)(nil)
)
