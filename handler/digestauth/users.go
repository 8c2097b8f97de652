package digestauth

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/sip/digest"
	"github.com/caddysip/caddysip/module"
)

// User is a user with either a password or hashes of it.
type User struct {
	// The name; with a domain, as in 101@example.com, the user is that address-of-record alone.
	// Placeholders are allowed.
	Name string `json:"name"`

	// The password. Placeholders are allowed. One that is written out can be read by whoever may
	// read the configuration, and is warned of: HA1 is better.
	Password string `json:"password,omitempty"`

	// In place of the password: the hashes of name:realm:password in hexadecimal, by the names of
	// their algorithms. Placeholders are allowed.
	HA1 map[string]string `json:"ha1,omitempty"`
}

// algorithms is a set of algorithms, as bits.
type algorithms uint

const (
	allAlgorithms algorithms = 1<<digest.NumAlgorithms - 1
	allDefaults   algorithms = 1<<digest.SHA256 | 1<<digest.MD5
)

func (s algorithms) has(a digest.Algorithm) bool { return s&(1<<a) != 0 }

// hashes are what is known of a user, by algorithm.
type hashes [digest.NumAlgorithms]string

// directory is a set of users of one realm. It doesn't change once it is there.
type directory struct {
	users  map[string]*hashes
	common algorithms // those that all users have
}

func newDirectory() *directory {
	return &directory{users: make(map[string]*hashes), common: allAlgorithms}
}

// done notes which algorithms all users have.
func (d *directory) done() {
	for _, u := range d.users {
		for a := digest.MD5; a < digest.NumAlgorithms; a++ {
			if u[a] == "" {
				d.common &^= 1 << a
			}
		}
	}
}

// userWithout returns a user who has no hash of an algorithm, empty when all have one.
func (d *directory) userWithout(a digest.Algorithm) string {
	if d.common.has(a) {
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(d.users)) {
		if d.users[name][a] == "" {
			return name
		}
	}
	return ""
}

// HA1 implements module.AuthenticationProvider.
func (d *directory) HA1(_ context.Context, user, _, algorithm string) (string, error) {
	if u := d.users[user]; u != nil {
		return u[digest.ParseAlgorithm(algorithm)], nil
	}
	return "", nil
}

// newList makes a directory of the users of a configuration. No error and no log entry has anything
// of a password in it.
func newList(users []User, realm string, repl *caddy.Replacer, logger *zap.Logger) (*directory, error) {
	d := newDirectory()
	plain := 0
	for i := range users {
		u := &users[i]
		name, err := module.ReplaceGlobal(u.Name)
		if err != nil {
			return nil, fmt.Errorf("user: %w", err)
		}
		if err := digest.CheckUser(name); err != nil {
			return nil, err
		}
		if d.users[name] != nil {
			return nil, fmt.Errorf("user %s is there twice", name)
		}
		password := repl.ReplaceKnown(u.Password, "")
		switch {
		case u.Password != "" && u.HA1 != nil:
			return nil, fmt.Errorf("user %s has a password and hashes: one of the two is enough", name)
		case password == "" && u.HA1 == nil:
			return nil, fmt.Errorf("user %s has no password, or its placeholders are empty", name)
		case u.HA1 == nil && isOtherHash(password):
			return nil, otherHash(name, realm)
		case u.HA1 == nil && digest.Weak(name, password):
			logger.Warn("a password is easily guessed: it is the user's name, or very short", zap.String("user", name))
		}
		if u.Password != "" && password == u.Password {
			plain++
		}
		known := new(hashes)
		d.users[name] = known
		for a := digest.MD5; a < digest.NumAlgorithms && u.HA1 == nil; a++ {
			known[a] = digest.HA1(a, name, realm, password)
		}
		for algorithm, text := range u.HA1 {
			a, err := parseAlgorithm(algorithm)
			if err != nil {
				return nil, fmt.Errorf("user %s: %w", name, err)
			}
			if text = repl.ReplaceKnown(text, ""); !digest.ValidHA1(a, text) {
				return nil, fmt.Errorf("user %s: the hash by %s must be %d hexadecimal digits, as caddysip sip hash-password prints it", name, a, 2*a.Size())
			}
			known[a] = strings.ToLower(text)
		}
	}
	if plain > 0 {
		logger.Warn("passwords stand in the configuration, where whoever may read that sees them; write their hashes instead, or a placeholder such as {file./run/secrets/101}",
			zap.Int("users", plain), zap.String("command", hashCommand("<name>", realm)))
	}
	d.done()
	return d, nil
}

// isOtherHash reports whether a password is a hash that was made for HTTP's basic_auth.
func isOtherHash(password string) bool {
	for _, prefix := range [...]string{"$2a$", "$2b$", "$2y$", "$argon2"} {
		if strings.HasPrefix(password, prefix) {
			return true
		}
	}
	return false
}

// otherHash returns the error for a user whose hash was made for HTTP.
func otherHash(user, realm string) error {
	return fmt.Errorf("user %s has a hash of a kind that SIP's digest can't be checked with "+
		"(bcrypt or argon2, as caddy hash-password makes); make one with: %s",
		user, hashCommand(user, realm))
}

// hashCommand is how the hashes of a user's password are made.
func hashCommand(user, realm string) string {
	return fmt.Sprintf("caddysip sip hash-password --user %s --realm %q", user, realm)
}

// Interface guards
var (
	_ module.AuthenticationProvider = (*directory)(nil)
	_ module.AuthenticationProvider = (*usersFile)(nil)
)
