package follow

import (
	"bytes"
	"io/fs"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	// interval is how often a file is checked. It costs one system call, and unlike notifications
	// works on network file systems and for symbolic links that change, as in containers.
	interval = time.Second

	// settle is how long after its modification time a file is read at each check: a second change
	// within the same tick of the file system's clock leaves the time as it is.
	settle = 2 * time.Second

	// stable is how long content that looks cut has to stay as it is before it is taken. A file
	// that is written in place is empty, or half written, for a moment.
	stable = 6 * time.Second
)

// File is a file that is read again when it changes. Its methods are for one goroutine at a time.
type File struct {
	path string
	take func(content []byte) error
	lost func(before, after int, taken bool)

	seen    fs.FileInfo // of the content that was read last; nil: it could not be read
	read    time.Time   // when it was read
	content []byte      // the content in force
	failed  string      // the last error

	doubtful []byte    // content that looks cut; nil: there is none
	since    time.Time // when it was seen first
}

// New returns a file whose content is passed to take whenever it has changed. If take returns an
// error, the previous content stays in force.
//
// Content that looks cut, because most of its rows are gone or the last one is, is taken when it
// has stayed so for some seconds. lost is called when that is seen, and again when the content is
// taken, with the numbers of rows. A row is a line that is neither empty nor begins with #.
func New(
	path string,
	take func(content []byte) error,
	lost func(before, after int, taken bool),
) *File {
	return &File{path: path, take: take, lost: lost}
}

// LogLost returns a function for New that logs what it is called with. what names the file's kind
// at the beginning of a sentence, path is the file.
func LogLost(logger *zap.Logger, what string, path zap.Field) func(before, after int, taken bool) {
	return func(before, after int, taken bool) {
		level := zap.InfoLevel
		text := what + " has lost rows: it is taken if it stays so for some seconds"
		if taken {
			level, text = zap.WarnLevel, what+" has lost rows, and stayed so: it is taken"
		}
		logger.Log(level, text, path, zap.Int("rows", after), zap.Int("before", before))
	}
}

// Load reads the file now, and takes it as it is.
func (f *File) Load() error { return f.load(false) }

func (f *File) load(doubt bool) error {
	f.read = time.Now()
	seen := f.seen
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
		f.doubtful = nil
		return nil
	}
	if doubt && f.doubts(content, seen != nil && os.SameFile(info, seen)) {
		return nil
	}
	f.doubtful = nil
	if err := f.take(content); err != nil {
		return err
	}
	f.content = append([]byte{}, content...)
	return nil
}

// doubts reports whether content looks cut, and may still be completed. If it was written into the
// same file, it may also have been changed above the cut.
func (f *File) doubts(content []byte, same bool) bool {
	if f.content == nil {
		return false
	}
	before, last := rows(f.content)
	after, _ := rows(content)
	cut := bytes.HasPrefix(f.content, content) || same && after < before && !has(content, last)
	if !cut && 2*after >= before {
		return false
	}
	if f.doubtful == nil || !bytes.Equal(content, f.doubtful) {
		if f.doubtful == nil {
			f.lost(before, after, false)
		}
		f.doubtful, f.since = append([]byte{}, content...), f.read
		return true
	}
	if f.read.Sub(f.since) < stable {
		return true
	}
	f.lost(before, after, true)
	return false
}

// rows returns how many rows there are, and the last one.
func rows(content []byte) (n int, last []byte) {
	for line := range bytes.Lines(content) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			n, last = n+1, line
		}
	}
	return n, last
}

// has reports whether one of the rows is this one.
func has(content, row []byte) bool {
	for line := range bytes.Lines(content) {
		if bytes.Equal(bytes.TrimSpace(line), row) {
			return true
		}
	}
	return false
}

// changed reports whether the file may have changed.
func (f *File) changed() bool {
	info, err := os.Stat(f.path)
	if err != nil || f.seen == nil {
		return true
	}
	return f.doubtful != nil || !info.ModTime().Equal(f.seen.ModTime()) ||
		info.Size() != f.seen.Size() || !os.SameFile(info, f.seen) ||
		f.read.Sub(info.ModTime()) < settle
}

// Look reads the file if it may have changed. The same error is returned only once in a row.
func (f *File) Look() error {
	if !f.changed() {
		return nil
	}
	err := f.load(true)
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
