package follow

import (
	"bytes"
	"io/fs"
	"os"
	"sync"
	"time"
)

const (
	// interval is how often a file is looked at. That is one system call; and unlike a notification
	// it works for files on other machines, and for links that change, as in containers.
	interval = time.Second

	// settle is for how long after its last change a file is read once more at each look: what is
	// written within the same tick of the file system's clock does not show.
	settle = 2 * time.Second
)

// File is a file that is read again when it changes. Its methods are for one goroutine at a time.
type File struct {
	path string
	take func(content []byte) error

	seen    fs.FileInfo // before it was read the last time; nil: it could not be read
	read    time.Time   // when that was
	content []byte      // what was taken
	failed  string      // what was wrong the last time
}

// New returns a file whose content is given to take each time that it is another one. What take
// refuses is not content.
func New(
	path string,
	take func(content []byte) error,
) *File {
	return &File{path: path, take: take}
}

// Load reads the file.
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

// changed reports whether the file is to be read again.
func (f *File) changed() bool {
	info, err := os.Stat(f.path)
	if err != nil || f.seen == nil {
		return true
	}
	return !info.ModTime().Equal(f.seen.ModTime()) || info.Size() != f.seen.Size() ||
		!os.SameFile(info, f.seen) ||
		f.read.Sub(info.ModTime()) < settle
}

// Look reads the file if it has changed. The same error is returned once.
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

// Watch looks at files until stop is called, which returns when nothing is given to anybody any
// more. Each error is given to failed.
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
