package caddyfile

import (
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/internal/suggest"
	"github.com/caddysip/caddysip/module"
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
	if d.NextArg() {
		return d.Errf("keys has no arguments, only a block: found '%s'", d.Val())
	}
	a.Keys = new(module.Keys)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		var err error
		switch option := d.Val(); option {
		case "profile":
			var p *module.KeyProfile
			if p, err = parseProfile(d); err == nil {
				a.Keys.Profiles = append(a.Keys.Profiles, p)
			}
		case "model":
			var m *module.PhoneModel
			if m, err = parsePhoneModel(d); err == nil {
				a.Keys.Models = append(a.Keys.Models, m)
			}
		case "batch":
			a.Keys.Batch = true
			err = noMore(d, option)
		case "rate":
			if !d.NextArg() || parseNumber(&a.Keys.Rate, d.Val()) != nil {
				return d.Err("rate needs a number of messages a second, as in rate 500")
			}
			err = noMore(d, option)
		case "credentials":
			if a.Keys.Credentials != nil {
				return d.Err("credentials are there already")
			}
			a.Keys.Credentials, err = parseCredentials(d)
		case "phones":
			args := d.RemainingArgs()
			if len(args) == 0 {
				return d.Err("phones needs at least one glob for User-Agents, as in phones OfficePhone/*")
			}
			a.Keys.Phones = append(a.Keys.Phones, args...)
			err = noBlock(d, option)
		default:
			return d.Errf("unrecognized option '%s' of keys: %s", option,
				suggest.DidYouMean(option, []string{"profile", "model", "batch", "rate", "credentials", "phones"}))
		}
		if err != nil {
			return err
		}
		if err := a.Keys.Validate(); err != nil { // here, where the line is known
			return d.WrapErr(err)
		}
	}
	return nil
}

// parseCredentials reads what phones are answered with. A user and a password on the line, which are the same for all
// phones, load and answer nothing. No error has a word of them.
func parseCredentials(d *caddyfile.Dispenser) (*module.KeyCredentials, error) {
	if args := d.RemainingArgs(); len(args) > 0 {
		if len(args) != 2 {
			return nil, d.Err("credentials are a block with realm, username and password")
		}
		return &module.KeyCredentials{Username: args[0], Password: args[1]}, noBlock(d, "credentials")
	}
	c := new(module.KeyCredentials)
	fields := map[string]*string{"realm": &c.Realm, "username": &c.Username, "password": &c.Password}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		field := fields[option]
		if field == nil {
			return nil, d.Errf("unrecognized option '%s' of credentials: %s", option,
				suggest.DidYouMean(option, []string{"realm", "username", "password"}))
		}
		if *field != "" || !d.AllArgs(field) || *field == "" {
			return nil, d.Errf("%s of credentials takes one value, in quotes if there are spaces in it", option)
		}
		if err := noBlock(d, option); err != nil {
			return nil, err
		}
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
func parseProfile(d *caddyfile.Dispenser) (*module.KeyProfile, error) {
	if !d.NextArg() {
		return nil, d.Err("profile needs a name")
	}
	p := &module.KeyProfile{Name: d.Val()}
	if d.NextArg() {
		return nil, d.Errf("profile has one name: found '%s' behind it", d.Val())
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		var list *[]string
		switch option {
		case "users":
			list = &p.Users
		case "user_agent":
			list = &p.UserAgents
		case "model":
			list = &p.Models
		case "members":
			if p.MembersFile != "" {
				return nil, d.Err("members is there already: a profile has one file of them")
			}
			if !d.NextArg() || d.Val() != "from" || !d.NextArg() {
				return nil, d.Err("members needs a file, as in members from reception.txt")
			}
			p.MembersFile = d.Val()
			if err := noMore(d, option); err != nil {
				return nil, err
			}
		case "key":
			k, err := parseKey(d)
			if err != nil {
				return nil, err
			}
			p.Keys = append(p.Keys, k)
		default:
			return nil, d.Errf("unrecognized option '%s' of profile: %s", option,
				suggest.DidYouMean(option, []string{"users", "members", "user_agent", "model", "key"}))
		}
		if list != nil {
			args := d.RemainingArgs()
			if len(args) == 0 {
				return nil, d.Errf("%s needs at least one value", option)
			}
			*list = append(*list, args...)
			if err := noBlock(d, option); err != nil {
				return nil, err
			}
		}
		if err := p.Validate(); err != nil {
			return nil, d.Errf("profile %s: %w", p.Name, err)
		}
	}
	return p, nil
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
func parseKey(d *caddyfile.Dispenser) (*module.ProfileKey, error) {
	if !d.NextArg() {
		return nil, d.Err("key needs the number of the key, as in key 1")
	}
	k := new(module.ProfileKey)
	var err error
	if k.Key, err = strconv.Atoi(d.Val()); err != nil {
		return nil, d.Errf("the key '%s' is no number", d.Val())
	}
	if err := k.Validate(); err != nil {
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
		if err := noBlock(d, seen[len(seen)-1]); err != nil {
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
func setProperty(d *caddyfile.Dispenser, k *module.ProfileKey, words []string) error {
	name := words[0]
	fields := map[string]*string{"label": &k.Label, "number": &k.Number, "light": &k.Light, "color": &k.Color, "action": &k.Action}
	switch {
	case name == "locked" && len(words) == 1:
		k.Locked = true
	case name == "locked":
		return d.Errf("locked has no value: found '%s' behind it", words[1])
	case fields[name] == nil:
		return d.Errf("unrecognized option '%s' of key %d: %s", name, k.Key,
			suggest.DidYouMean(name, []string{"label", "number", "light", "color", "action", "locked"}))
	case len(words) != 2:
		return d.Errf("%s takes one value, in quotes if there are spaces in it", name)
	default:
		*fields[name] = words[1]
	}
	return nil
}

// parsePhoneModel reads a model of phones.
func parsePhoneModel(d *caddyfile.Dispenser) (*module.PhoneModel, error) {
	if !d.NextArg() {
		return nil, d.Err("model needs a name, as in model D785")
	}
	m := &module.PhoneModel{Name: d.Val()}
	if d.NextArg() {
		return nil, d.Errf("model has one name: found '%s' behind it", d.Val())
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		switch option := d.Val(); option {
		case "keys":
			if !d.NextArg() || parseNumber(&m.Keys, d.Val()) != nil {
				return nil, d.Err("keys needs the number of keys that the phone has")
			}
		case "colors":
			if m.Colors = append(m.Colors, d.RemainingArgs()...); len(m.Colors) == 0 {
				return nil, d.Err("colors needs at least one of red, green, orange")
			}
		default:
			return nil, d.Errf("unrecognized option '%s' of model: %s", option, suggest.DidYouMean(option, []string{"keys", "colors"}))
		}
		if err := noMore(d, "an option of model"); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// noMore refuses what stands behind an option and its values.
func noMore(d *caddyfile.Dispenser, name string) error {
	if d.NextArg() {
		return d.Errf("%s takes no more: found '%s'", name, d.Val())
	}
	return noBlock(d, name)
}
