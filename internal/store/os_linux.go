package store

import (
	"os"

	"golang.org/x/sys/unix"
)

// unmap takes the pages of a file that are mapped for reading out of the process's memory. They stay mapped: who reads them gets them from the
// page cache again.
func unmap(address uintptr, size int64) {
	_, _, _ = unix.Syscall(unix.SYS_MADVISE, address, uintptr(size), unix.MADV_DONTNEED)
}

// unlock lets another process have a file that bbolt has left locked. To close it is not enough while it is mapped.
func unlock(f *os.File) { _ = unix.Flock(int(f.Fd()), unix.LOCK_UN) }
