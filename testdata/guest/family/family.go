// Package family is an authentication provider: a few people who share one password each, by name.
package family

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/module"
)

func init() {
	caddy.RegisterModule(new(Family))
}

// Family knows users whose password is that of their family.
type Family struct {
	// The passwords, by family.
	Passwords map[string]string `json:"passwords"`

	// The family that a user is of.
	Members map[string]string `json:"members"`
}

// CaddyModule returns the Caddy module information.
func (*Family) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.authentication.providers.family", New: func() caddy.Module { return new(Family) }}
}

// UnmarshalCaddyfile sets up the provider from Caddyfile tokens. Syntax:
//
//	family {
//		<name> <password> <users...>
//	}
func (f *Family) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	f.Passwords, f.Members = make(map[string]string), make(map[string]string)
	d.Next()
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name, args := d.Val(), d.RemainingArgs()
		if len(args) < 2 {
			return d.ArgErr()
		}
		f.Passwords[name] = args[0]
		for _, user := range args[1:] {
			f.Members[user] = name
		}
	}
	return nil
}

// HA1 implements module.AuthenticationProvider.
func (f *Family) HA1(_ context.Context, user, realm, algorithm string) (string, error) {
	password, ok := f.Passwords[f.Members[user]]
	if !ok {
		return "", nil
	}
	text := []byte(user + ":" + realm + ":" + password)
	switch algorithm {
	case "MD5":
		sum := md5.Sum(text)
		return hex.EncodeToString(sum[:]), nil
	case "SHA-256":
		sum := sha256.Sum256(text)
		return hex.EncodeToString(sum[:]), nil
	case "SHA-512-256":
		sum := sha512.Sum512_256(text)
		return hex.EncodeToString(sum[:]), nil
	}
	return "", nil
}

// Nonblocking implements module.NonblockingProvider: everything is in memory.
func (*Family) Nonblocking() {}

// Interface guards
var (
	_ caddyfile.Unmarshaler         = (*Family)(nil)
	_ module.AuthenticationProvider = (*Family)(nil)
	_ module.NonblockingProvider    = (*Family)(nil)
)
