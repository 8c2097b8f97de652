package follow

import (
	"bytes"
	"io/fs"
	"os"
	"sync"
	"time"
)

const (
	// interval is how often a file is checked. It costs one system call, and unlike notifications
	// works on network file systems and for symbolic links that change, as in containers.
	interval = time.Second

	// settle is how long after its modification time a file is read at each check: a second change
	// within the same tick of the file system's clock leaves the time as it is.
	settle = 2 * time.Second
)

// File is a file that is read again when it changes. Its methods are for one goroutine at a time.
type File struct {
	path string
	take func(content []byte) error

	seen    fs.FileInfo // of the content that was read last; nil: it could not be read
	read    time.Time   // when it was read
	content []byte      // the content in force
	failed  string      // the last error
}

// New returns a file whose content is passed to take whenever it has changed. If take returns an
// error, the previous content stays in force.
func New(
	path string,
	take func(content []byte) error,
) *File {
	return &File{path: path, take: take}
}

// Load reads the file now.
func (f *File) Load() error {
	f.read = time.Now()
	f.seen = nil
	info, err := os.Stat(f.path) // before reading, so that a change meanwhile shows
	if err != nil {
		return err
	}
	content, err := os.ReadFile(f.path)
	if err != nil {
		return err
	}
	f.seen = info
	if f.content != nil && bytes.Equal(content, f.content) {
		return nil
	}
	if err := f.take(content); err != nil {
		return err
	}
	f.content = append([]byte{}, content...)
	return nil
}

// changed reports whether the file may have changed.
func (f *File) changed() bool {
	info, err := os.Stat(f.path)
	if err != nil || f.seen == nil {
		return true
	}
	return !info.ModTime().Equal(f.seen.ModTime()) || info.Size() != f.seen.Size() ||
		!os.SameFile(info, f.seen) ||
		f.read.Sub(info.ModTime()) < settle
}

// Look reads the file if it may have changed. The same error is returned only once in a row.
func (f *File) Look() error {
	if !f.changed() {
		return nil
	}
	err := f.Load()
	if err == nil {
		f.failed = ""
		return nil
	}
	if err.Error() == f.failed {
		return nil
	}
	f.failed = err.Error()
	return err
}

// Watch checks the files until stop is called; errors go to failed. When stop returns, no function
// of a file runs any more.
func Watch(files []*File, failed func(path string, err error)) (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-end:
				return
			case <-ticker.C:
			}
			for _, f := range files {
				if err := f.Look(); err != nil {
					failed(f.path, err)
				}
			}
		}
	}()
	var once sync.Once
	return func() {
		once.Do(func() { close(end) })
		<-ended
	}
}
