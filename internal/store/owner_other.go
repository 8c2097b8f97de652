//go:build !unix

package store

import "os"

func sameOwner(_, _ *os.File) error { return nil }
