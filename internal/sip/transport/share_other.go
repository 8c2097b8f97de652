//go:build !linux

package transport

import "syscall"

func (l *Listener) share() error { return errUnsupported }

func (l *Listener) controlTCP(string, string, syscall.RawConn) error { return nil }
