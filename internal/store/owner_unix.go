//go:build unix

package store

import (
	"os"
	"syscall"
)

// sameOwner gives a file the owner, group and mode of another.
func sameOwner(file, other *os.File) error {
	info, err := other.Stat()
	if err != nil {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		if err := file.Chown(int(stat.Uid), int(stat.Gid)); err != nil {
			return err
		}
	}
	return file.Chmod(info.Mode().Perm())
}
