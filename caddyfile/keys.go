package caddyfile

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/internal/directive"
	"github.com/caddysip/caddysip/internal/snomkeys/keys"
	"github.com/caddysip/caddysip/module/keyprofile"
)

// keys reads what function keys show.
//
//	keys {
//		profile <name> {
//			...
//		}
//		model <name> {
//			keys   <number>
//			colors <colors...>
//		}
//		batch
//		rate <messages a second>
//		credentials {
//			realm    <realm>
//			username <text>
//			password <text>
//		}
//		phones <user-agent globs...>
//	}
func (a *app) keys(d *caddyfile.Dispenser) error {
	if a.Keys != nil {
		return d.Err("keys is there already: put all profiles into one keys block")
	}
	if err := directive.NoArgs(d); err != nil {
		return err
	}
	k := new(keyprofile.Config)
	a.Keys = k
	return directive.Block(d, "keys", directive.Options{
		"profile": func(d *caddyfile.Dispenser) error {
			p, err := parseProfile(d)
			k.Profiles = append(k.Profiles, p)
			return err
		},
		"model": func(d *caddyfile.Dispenser) error {
			m, err := parsePhoneModel(d)
			k.Models = append(k.Models, m)
			return err
		},
		"batch": directive.Flag(&k.Batch),
		"rate":  directive.Number(&k.Rate),
		"credentials": func(d *caddyfile.Dispenser) (err error) {
			k.Credentials, err = parseCredentials(d)
			return err
		},
		"phones": directive.List(&k.Phones),
	}.Checked(k.Validate), "profile", "model", "phones")
}

// parseCredentials reads what phones are answered with. A user and a password on the line, which
// are the same for all phones, load and answer nothing. No error has a word of them.
func parseCredentials(d *caddyfile.Dispenser) (*keyprofile.Credentials, error) {
	if args := d.RemainingArgs(); len(args) > 0 {
		if len(args) != 2 {
			return nil, d.Err("credentials are a block with realm, username and password")
		}
		return &keyprofile.Credentials{Username: args[0], Password: args[1]}, directive.NoBlock(d, "credentials")
	}
	c := new(keyprofile.Credentials)
	err := directive.Block(d, "credentials", directive.Options{
		"realm":    directive.Text(&c.Realm),
		"username": directive.Text(&c.Username),
		"password": directive.Text(&c.Password),
	})
	if err != nil {
		return nil, err
	}
	if c.Realm == "" {
		return nil, d.Err("credentials need the realm of the phones' challenges")
	}
	return c, nil
}

// parseProfile reads a profile of keys.
//
//	profile <name> {
//		users      <globs...>
//		members    from <file>
//		user_agent <globs...>
//		model      <names...>
//		key <number> {
//			...
//		}
//	}
//
// Lines of the same name add up, except for members.
func parseProfile(d *caddyfile.Dispenser) (*keyprofile.Profile, error) {
	if !d.NextArg() {
		return nil, d.Err("profile needs a name, as in profile reception")
	}
	p := &keyprofile.Profile{Name: d.Val(), Source: place(d.Token())}
	if d.NextArg() {
		return nil, d.Errf("profile has one name: found '%s' behind it", d.Val())
	}
	err := directive.Block(d, "profile", directive.Options{
		"users":      directive.List(&p.Users),
		"user_agent": directive.List(&p.UserAgents),
		"model":      directive.List(&p.Models),
		"members": func(d *caddyfile.Dispenser) error {
			if !d.NextArg() || d.Val() != "from" || !d.NextArg() {
				return errors.New("needs a file, as in members from reception.txt")
			}
			p.MembersFile = d.Val()
			return directive.NoMore(d, "members")
		},
		"key": func(d *caddyfile.Dispenser) error {
			k, err := parseKey(d)
			p.Keys = append(p.Keys, k)
			return err
		},
	}.Checked(func() error {
		if err := p.Validate(); err != nil {
			return fmt.Errorf("profile %s: %w", p.Name, err)
		}
		return nil
	}), "users", "user_agent", "model", "key")
	return p, err
}

// parseKey reads a key of a profile. Semicolons part properties as ends of lines do.
//
//	key <number> {
//		label  <text>
//		number <number>
//		light  on|off|hold|park|pickup|message|offline|seized|record|error
//		color  red|green|orange|local|remote
//		action invite|message
//		locked
//	}
func parseKey(d *caddyfile.Dispenser) (*keyprofile.Key, error) {
	if !d.NextArg() {
		return nil, d.Err("key needs the number of the key, as in key 1")
	}
	k := new(keyprofile.Key)
	var err error
	if k.Key, err = keys.ParseKey(d.Val()); err != nil {
		return nil, d.WrapErr(err)
	}
	if d.NextArg() {
		return nil, d.Errf("key takes one number: found '%s' behind it", d.Val())
	}
	var seen []string
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		list := properties(d)
		if len(list) == 0 {
			return nil, d.Errf("key %d: a semicolon stands behind a property, not by itself", k.Key)
		}
		for _, words := range list {
			if slices.Contains(seen, words[0]) {
				return nil, d.Errf("key %d has its %s already", k.Key, words[0])
			}
			seen = append(seen, words[0])
			if err := setProperty(d, k, words); err != nil {
				return nil, err
			}
			if err := k.Validate(); err != nil {
				return nil, d.WrapErr(err)
			}
		}
		if err := directive.NoBlock(d, seen[len(seen)-1]); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// properties returns the words of each property on a line.
func properties(d *caddyfile.Dispenser) (list [][]string) {
	var words []string
	end := func() {
		if len(words) > 0 {
			list = append(list, words)
			words = nil
		}
	}
	for more := true; more; more = d.NextArg() {
		word := d.Val()
		if d.Token().Quoted() {
			words = append(words, word)
			continue
		}
		if rest := strings.TrimLeft(word, ";"); rest != word {
			end()
			word = rest
		}
		rest := strings.TrimRight(word, ";")
		if rest != "" {
			words = append(words, rest)
		}
		if rest != word {
			end()
		}
	}
	end()
	return list
}

// setProperty sets a property of a key.
func setProperty(d *caddyfile.Dispenser, k *keyprofile.Key, words []string) error {
	name := words[0]
	fields := map[string]*string{"label": &k.Label, "number": &k.Number, "light": &k.Light, "color": &k.Color, "action": &k.Action}
	switch {
	case name == "locked" && len(words) == 1:
		k.Locked = true
	case name == "locked":
		return d.Errf("locked has no value: found '%s' behind it", words[1])
	case fields[name] == nil:
		return directive.Unrecognized(d, name, fmt.Sprintf("key %d", k.Key),
			[]string{"label", "number", "light", "color", "action", "locked"})
	case len(words) != 2:
		return d.Errf("%s takes one value, in quotes if there are spaces in it", name)
	default:
		*fields[name] = words[1]
	}
	return nil
}

// parsePhoneModel reads a model of phones.
func parsePhoneModel(d *caddyfile.Dispenser) (*keyprofile.Model, error) {
	if !d.NextArg() {
		return nil, d.Err("model needs a name, as in model D785")
	}
	m := &keyprofile.Model{Name: d.Val()}
	if d.NextArg() {
		return nil, d.Errf("model has one name: found '%s' behind it", d.Val())
	}
	err := directive.Block(d, "model", directive.Options{
		"keys":   directive.Number(&m.Keys),
		"colors": directive.List(&m.Colors),
	}, "colors")
	return m, err
}
