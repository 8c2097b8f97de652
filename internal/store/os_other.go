//go:build !linux

package store

import "os"

func unmap(uintptr, int64) {}

func unlock(*os.File) {}
