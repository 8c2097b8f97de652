package digestauth

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/internal/directive"
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
//		algorithm      [<user agent glob>] <algorithms...>
//		nonce_lifetime <duration>
//		identity       own|any
//		uri            own|any
//		failures       <n> [<window>] | off
//		ban            <duration>
//	}
//
// user, provider and, with a user agent, algorithm can be repeated. No error contains what stands
// behind a user's name.
func (h *DigestAuth) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive
	if err := directive.NoArgs(d); err != nil {
		return err
	}
	return directive.Block(d, "digest_auth", directive.Options{
		"realm":          directive.Text(&h.Realm),
		"user":           h.user,
		"users_file":     directive.Text(&h.UsersFile),
		"provider":       h.provider,
		"algorithm":      h.algorithms,
		"nonce_lifetime": directive.Duration(&h.NonceLifetime),
		"identity":       directive.Choice(&h.Identity, Own, Any),
		"uri":            directive.Choice(&h.URI, Own, Any),
		"failures":       h.failures,
		"ban":            directive.Duration(&h.Ban),
	}, "user", "provider", "algorithm")
}

// algorithms reads algorithms for all clients, or for those of which a glob is given first. One
// without a * or ? would match no client, so it is a mistyped algorithm.
func (h *DigestAuth) algorithms(d *caddyfile.Dispenser) error {
	var names []string
	if err := directive.List(&names)(d); err != nil {
		return err
	}
	agent := ""
	if len(names) > 1 && strings.ContainsAny(names[0], "*?{") {
		agent, names = names[0], names[1:]
	}
	if _, err := parseAlgorithms(names); err != nil {
		return d.WrapErr(err)
	}
	if agent == "" && h.Algorithms != nil ||
		slices.ContainsFunc(h.Clients, func(c Client) bool { return c.UserAgent == agent }) {
		return errors.New("is given twice for the same clients")
	}
	if agent == "" {
		h.Algorithms = names
	} else {
		h.Clients = append(h.Clients, Client{UserAgent: agent, Algorithms: names})
	}
	return nil
}

// user reads a user. What follows the name is either a password, or hashes with their algorithms.
func (h *DigestAuth) user(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 2 || args[1] == "" {
		return errors.New("takes a name and a password, or hashes: user 101 SHA-256:<HA1> MD5:<HA1>")
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
			return d.Errf("user %s of digest_auth takes one password, in quotes if there are spaces "+
				"in it, or only hashes such as SHA-256:<HA1>", u.Name)
		}
		if isOtherHash(text) {
			return d.WrapErr(otherHash(u.Name, cmp.Or(h.Realm, "<realm>")))
		}
		u.Password = text
	}
	h.Users = append(h.Users, u)
	return nil
}

func (h *DigestAuth) provider(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return errors.New("needs the name of a provider")
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

func (h *DigestAuth) failures(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 1 && args[0] == "off" {
		h.Failures = -1
		return nil
	}
	if len(args) < 1 || len(args) > 2 {
		return errors.New("takes a number and a duration, as in failures 20 1m, or off")
	}
	if err := directive.ParseNumber(&h.Failures)(args[0]); err != nil || len(args) == 1 {
		return err
	}
	return directive.ParseDuration(&h.FailureWindow)(args[1])
}

// Interface guard
var _ caddyfile.Unmarshaler = (*DigestAuth)(nil)
