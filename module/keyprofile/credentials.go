package keyprofile

import (
	"cmp"
	"errors"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// Credentials are the name and password by which phones know that a message is the server's. Each
// user's phones have a password of their own, since whoever registers such a phone may have
// something signed with it. {user} stands for the user part of the address-of-record.
type Credentials struct {
	// The realm of the phones' challenges: others are not answered. Without it none is. Placeholders
	// are allowed.
	Realm string `json:"realm,omitempty"`

	// The name. Placeholders are allowed. Default: {user}.
	Username string `json:"username,omitempty"`

	// The password, with {user} in it. Placeholders are allowed.
	Password string `json:"password"`
}

// Validate returns what is wrong with the credentials. Its errors have no word of them.
func (c *Credentials) Validate() error {
	switch {
	case c.Realm == "" && (c.Username == "" || c.Password == ""):
		return errors.New("credentials need a username and a password")
	case c.Realm != "" && !strings.Contains(c.Password, "{user}"):
		return errors.New("the password of credentials needs {user} in it, " +
			"so that each user's phones have one of their own")
	}
	return nil
}

// Replace returns the credentials with their defaults, and with the placeholders that repl knows
// replaced. {user} stays: it is for whoever answers a phone. Credentials in which nothing is left
// where something must be are an error.
func (c *Credentials) Replace(repl *caddy.Replacer) (Credentials, error) {
	r := Credentials{
		Realm:    repl.ReplaceKnown(c.Realm, ""),
		Username: repl.ReplaceKnown(cmp.Or(c.Username, "{user}"), ""),
		Password: repl.ReplaceKnown(c.Password, ""),
	}
	switch {
	case r.Username == "" || r.Password == "":
		return r, errors.New("credentials need a username and a password: their placeholders are empty")
	case c.Realm != "" && (r.Realm == "" || r.Password == "{user}"):
		return r, errors.New("credentials need a realm, and a secret in the password: " +
			"their placeholders are empty")
	}
	return r, nil
}
