package module

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"

	"github.com/caddyserver/certmagic"
)

const (
	secretKey  = "sip/secret"
	secretSize = 32
)

// loadSecret reads the key that signs what we give to clients and believe when it comes back, and
// makes it when there is none. It is kept in Caddy's storage, so that calls go on after a restart.
func loadSecret(storage certmagic.Storage) ([]byte, error) {
	ctx := context.Background()
	secret, err := storage.Load(ctx, secretKey)
	if err == nil && len(secret) >= secretSize {
		return secret, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading %s from storage: %w", secretKey, err)
	}
	secret = make([]byte, secretSize)
	rand.Read(secret)
	if err := storage.Store(ctx, secretKey, secret); err != nil {
		return nil, fmt.Errorf("keeping %s in storage: %w", secretKey, err)
	}
	return secret, nil
}
