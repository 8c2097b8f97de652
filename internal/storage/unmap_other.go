//go:build !linux

package storage

func unmap(uintptr, int64) {}
