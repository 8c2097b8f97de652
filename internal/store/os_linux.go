package store

import (
	"os"

	"golang.org/x/sys/unix"
)

// unmap drops the mapped pages of a file from the process's memory. They stay mapped: a read gets
// them from the page cache again.
func unmap(address uintptr, size int64) {
	_, _, _ = unix.Syscall(unix.SYS_MADVISE, address, uintptr(size), unix.MADV_DONTNEED)
}

// unlock releases the lock of a file that bbolt has left locked. Closing the file is not enough
// while it is mapped.
func unlock(f *os.File) { _ = unix.Flock(int(f.Fd()), unix.LOCK_UN) }
