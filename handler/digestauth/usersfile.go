package digestauth

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/sip/digest"
)

// watchInterval is how often a file is looked at. Looking costs one system call; and unlike a notification, it works for files on other machines, and
// for those that are links which change, as in containers.
var watchInterval = time.Second

// settleTime is for how long after its last change a file is read once more at each look: what is written within the same tick of the file system's
// clock does not show.
const settleTime = 2 * time.Second

// maxLine is the longest line of a file, in bytes.
const maxLine = 4096

// usersFile is a file of users, followed as it changes.
type usersFile struct {
	path   string
	realm  string
	logger *zap.Logger
	loaded func(d *directory, file string) // called with what was read; may be nil

	current atomic.Pointer[directory]

	seen    fs.FileInfo // before it was read the last time
	read    time.Time   // when that was
	content []byte      // what was read
	broken  bool        // it could not be read the last time

	once sync.Once
	end  chan struct{}
}

// HA1 implements module.AuthenticationProvider.
func (f *usersFile) HA1(ctx context.Context, user, realm, algorithm string) (string, error) {
	return f.current.Load().HA1(ctx, user, realm, algorithm)
}

// load reads the file. On an error what was read before stays.
func (f *usersFile) load() error {
	f.read = time.Now()
	info, err := os.Stat(f.path) // before reading, so that a change meanwhile shows
	if err != nil {
		f.seen = nil
		return fmt.Errorf("reading the users file: %w", err)
	}
	f.seen = info
	content, err := os.ReadFile(f.path)
	if err != nil {
		return fmt.Errorf("reading the users file: %w", err)
	}
	if f.content != nil && bytes.Equal(content, f.content) {
		return nil
	}
	d, err := parseUsers(f.path, content, f.realm)
	if err != nil {
		return err
	}
	f.content = content
	f.current.Store(d)
	fields := []zap.Field{zap.String("users_file", f.path), zap.String("realm", f.realm), zap.Int("users", len(d.users))}
	if len(d.users) == 0 {
		f.logger.Warn("the users file has nobody for the realm: its lines are user:realm:algorithm:HA1", fields...)
	} else {
		f.logger.Info("read the users file", fields...)
	}
	if f.loaded != nil {
		f.loaded(d, f.path)
	}
	return nil
}

// changed tells whether the file is to be read again.
func (f *usersFile) changed() bool {
	info, err := os.Stat(f.path)
	if err != nil || f.seen == nil {
		return err == nil || f.seen != nil
	}
	return !info.ModTime().Equal(f.seen.ModTime()) || info.Size() != f.seen.Size() || !os.SameFile(info, f.seen) ||
		f.read.Sub(info.ModTime()) < settleTime
}

// look reads the file if it has changed. What is wrong with it is logged once.
func (f *usersFile) look() {
	if !f.changed() {
		return
	}
	before := f.seen
	err := f.load()
	if err == nil {
		f.broken = false
		return
	}
	same := before != nil && f.seen != nil && before.ModTime().Equal(f.seen.ModTime()) && before.Size() == f.seen.Size()
	if !f.broken || !same {
		f.logger.Error("the users file is not taken: the users are those that it had before", zap.Error(err))
	}
	f.broken = true
}

// watch follows the file until stop is called.
func (f *usersFile) watch() {
	f.end = make(chan struct{})
	ticker := time.NewTicker(watchInterval)
	go func() {
		defer ticker.Stop()
		for {
			select {
			case <-f.end:
				return
			case <-ticker.C:
				f.look()
			}
		}
	}()
}

// stop ends watch. It may be called more than once, and without watch.
func (f *usersFile) stop() {
	f.once.Do(func() {
		if f.end != nil {
			close(f.end)
		}
	})
}

// parseUsers reads lines of user:realm:algorithm:HA1. A realm may have colons in it, as IPv6 addresses do. Empty lines, and those that start with #, say
// nothing. An error tells file and line, and nothing of a hash.
func parseUsers(path string, content []byte, realm string) (*directory, error) {
	d := newDirectory()
	lines := bufio.NewScanner(bytes.NewReader(content))
	lines.Buffer(nil, maxLine)
	n := 0
	for lines.Scan() {
		n++
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, rest, ok := strings.Cut(line, ":")
		last := strings.LastIndexByte(rest, ':')
		if !ok || last < 0 || strings.IndexByte(rest[:last], ':') < 0 {
			return nil, fmt.Errorf("%s:%d: not user:realm:algorithm:HA1", path, n)
		}
		rest, hash := rest[:last], rest[last+1:]
		last = strings.LastIndexByte(rest, ':')
		of, algorithm := rest[:last], digest.ParseAlgorithm(rest[last+1:])
		switch {
		case digest.CheckUser(name) != nil:
			return nil, fmt.Errorf("%s:%d: %w", path, n, digest.CheckUser(name))
		case algorithm == digest.Other:
			return nil, fmt.Errorf("%s:%d: the algorithm is not MD5, SHA-256 or SHA-512-256", path, n)
		case !digest.ValidHA1(algorithm, hash):
			return nil, fmt.Errorf("%s:%d: the hash by %s must be %d hexadecimal digits", path, n, algorithm, 2*algorithm.Size())
		case of != realm:
			continue
		}
		u := d.users[name]
		if u == nil {
			u = new(hashes)
			d.users[name] = u
		}
		if u[algorithm] != "" {
			return nil, fmt.Errorf("%s:%d: user %s has a hash by %s already", path, n, name, algorithm)
		}
		u[algorithm] = strings.ToLower(hash)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s:%d: %w", path, n+1, err)
	}
	d.done()
	return d, nil
}
