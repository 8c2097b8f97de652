package storage

import "golang.org/x/sys/unix"

// unmap takes the pages of a file that are mapped for reading out of the process's memory. They stay mapped: who reads them gets them from the
// page cache again.
func unmap(address uintptr, size int64) {
	_, _, _ = unix.Syscall(unix.SYS_MADVISE, address, uintptr(size), unix.MADV_DONTNEED)
}
