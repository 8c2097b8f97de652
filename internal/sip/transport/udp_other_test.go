//go:build !linux

package transport

func cpuTime() int64 { return 0 }
