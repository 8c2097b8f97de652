package digestauth

import (
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/internal/sip/digest"
	"github.com/caddysip/caddysip/module"
)

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	digest_auth [<matcher>] {
//		realm          <realm>
//		user           <name> <algorithm>:<HA1>...
//		user           <name> <password>
//		users_file     <path>
//		provider       <name> ...
//		algorithm      <algorithms...>
//		nonce_lifetime <duration>
//		identity       own|any
//		failures       <n> [<window>] | off
//		ban            <duration>
//	}
//
// user and provider can be repeated. No error says what stands behind a user's name.
func (h *DigestAuth) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive
	if d.NextArg() {
		return d.Err("digest_auth takes no arguments: its options stand in a block")
	}
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if seen[option] && option != "user" && option != "provider" {
			return d.Errf("%s of digest_auth is given twice", option)
		}
		seen[option] = true
		if err := h.option(d, option); err != nil {
			return err
		}
	}
	return nil
}

func (h *DigestAuth) option(d *caddyfile.Dispenser, option string) (err error) {
	switch option {
	case "realm":
		return one(d, &h.Realm)
	case "users_file":
		return one(d, &h.UsersFile)
	case "identity":
		if err := one(d, &h.Identity); err != nil {
			return err
		}
		if h.Identity != IdentityOwn && h.Identity != IdentityAny {
			return d.Errf("identity of digest_auth is %s or %s, not '%s'", IdentityOwn, IdentityAny, h.Identity)
		}
		return nil
	case "algorithm":
		if h.Algorithms = d.RemainingArgs(); len(h.Algorithms) == 0 {
			return d.ArgErr()
		}
		for _, name := range h.Algorithms {
			if _, err := parseAlgorithm(name); err != nil {
				return d.WrapErr(err)
			}
		}
		return nil
	case "nonce_lifetime":
		h.NonceLifetime, err = duration(d)
		return err
	case "ban":
		h.Ban, err = duration(d)
		return err
	case "failures":
		return h.failures(d)
	case "user":
		return h.user(d)
	case "provider":
		return h.provider(d)
	}
	return d.Errf("unrecognized option '%s' of digest_auth: it has realm, user, users_file, provider, algorithm, nonce_lifetime, identity, failures and ban",
		option)
}

// user reads a user. What follows the name is either a password, or hashes with their algorithms.
func (h *DigestAuth) user(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 2 || args[1] == "" {
		return d.Err("user of digest_auth takes a name and a password, or hashes: user 101 SHA-256:<HA1> MD5:<HA1>")
	}
	u := User{Name: args[0]}
	for _, text := range args[1:] {
		name, hash, ok := strings.Cut(text, ":")
		if a := digest.ParseAlgorithm(name); ok && a != digest.Other {
			if u.HA1 == nil {
				u.HA1 = make(map[string]string)
			}
			if u.HA1[a.String()] != "" {
				return d.Errf("user %s of digest_auth has two hashes by %s", u.Name, a)
			}
			u.HA1[a.String()] = hash
			continue
		}
		if len(args) > 2 {
			return d.Errf("user %s of digest_auth takes one password, in quotes if there are spaces in it, or only hashes such as SHA-256:<HA1>", u.Name)
		}
		u.Password = text
	}
	h.Users = append(h.Users, u)
	return nil
}

func (h *DigestAuth) provider(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.ArgErr()
	}
	name := d.Val()
	id := "sip.authentication.providers." + name
	unm, err := caddyfile.UnmarshalModule(d, id)
	if err != nil {
		return err
	}
	if _, ok := unm.(module.AuthenticationProvider); !ok {
		return d.Errf("the module %s knows no users", id)
	}
	h.ProvidersRaw = append(h.ProvidersRaw, caddyconfig.JSONModuleObject(unm, "provider", name, nil))
	return nil
}

func (h *DigestAuth) failures(d *caddyfile.Dispenser) (err error) {
	args := d.RemainingArgs()
	if len(args) == 1 && args[0] == "off" {
		h.Failures = -1
		return nil
	}
	if len(args) < 1 || len(args) > 2 {
		return d.Err("failures of digest_auth takes a number and a time, as in failures 20 1m, or off")
	}
	if h.Failures, err = strconv.Atoi(args[0]); err != nil || h.Failures < 1 {
		return d.Errf("failures of digest_auth takes a number of wrong answers, not '%s'", args[0])
	}
	if len(args) == 2 {
		h.FailureWindow, err = parseDuration(d, args[1])
	}
	return err
}

func one(d *caddyfile.Dispenser, value *string) error {
	name := d.Val()
	if !d.AllArgs(value) || *value == "" {
		return d.Errf("%s of digest_auth takes one value", name)
	}
	return nil
}

func duration(d *caddyfile.Dispenser) (caddy.Duration, error) {
	var text string
	if err := one(d, &text); err != nil {
		return 0, err
	}
	return parseDuration(d, text)
}

func parseDuration(d *caddyfile.Dispenser, text string) (caddy.Duration, error) {
	t, err := caddy.ParseDuration(text)
	if err != nil || t <= 0 {
		return 0, d.Errf("'%s' is no time such as 30s or 5m", text)
	}
	return caddy.Duration(t), nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*DigestAuth)(nil)
