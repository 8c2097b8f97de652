package digestauth

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/follow"
	"github.com/caddysip/caddysip/internal/sip/digest"
)

// maxLine is the longest line of a file, in bytes.
const maxLine = 4096

// usersFile is a file of users, followed as it changes.
type usersFile struct {
	path   string
	realm  string
	logger *zap.Logger
	loaded func(d *directory, file string) // called with what was read; may be nil

	current atomic.Pointer[directory]
	file    *follow.File
	unwatch func() // nil: it is not followed
}

// HA1 implements module.AuthenticationProvider.
func (f *usersFile) HA1(ctx context.Context, user, realm, algorithm string) (string, error) {
	return f.current.Load().HA1(ctx, user, realm, algorithm)
}

// load reads the file for the first time.
func (f *usersFile) load() error {
	lost := follow.LogLost(f.logger, "the users file", zap.String("users_file", f.path))
	f.file = follow.New(f.path, f.take, lost)
	if err := f.file.Load(); err != nil {
		return fmt.Errorf("reading the users file: %w", err)
	}
	return nil
}

// take replaces the users by those in content.
func (f *usersFile) take(content []byte) error {
	d, err := parseUsers(f.path, content, f.realm)
	if err != nil {
		return err
	}
	f.current.Store(d)
	fields := []zap.Field{
		zap.String("users_file", f.path), zap.String("realm", f.realm), zap.Int("users", len(d.users)),
	}
	if len(d.users) == 0 {
		f.logger.Warn("the users file has nobody for the realm: its lines are user:realm:algorithm:HA1",
			fields...)
	} else {
		f.logger.Info("read the users file", fields...)
	}
	if f.loaded != nil {
		f.loaded(d, f.path)
	}
	return nil
}

// watch follows the file until stop is called.
func (f *usersFile) watch() {
	f.unwatch = follow.Watch([]*follow.File{f.file}, func(_ string, err error) {
		f.logger.Error("the users file is not taken: the users are those that it had before",
			zap.Error(err))
	})
}

// stop ends watch. It may be called more than once, and without watch.
func (f *usersFile) stop() {
	if f.unwatch != nil {
		f.unwatch()
	}
}

// parseUsers reads lines of user:realm:algorithm:HA1. A realm may have colons in it, as IPv6
// addresses do. Empty lines, and those that start with #, say nothing. An error says file and line,
// and nothing of a hash.
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
		if isOtherHash(rest[strings.LastIndexByte(rest, ':')+1:]) {
			return nil, fmt.Errorf("%s:%d: %w", path, n, otherHash(name, realm))
		}
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
