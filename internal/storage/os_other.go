//go:build !linux

package storage

import "os"

func unmap(uintptr, int64) {}

func unlock(*os.File) {}
