package module

import (
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/follow"
	"github.com/caddysip/caddysip/internal/globals"
	"github.com/caddysip/caddysip/internal/sip/uac"
	"github.com/caddysip/caddysip/internal/snomkeys/delivery"
	"github.com/caddysip/caddysip/internal/snomkeys/keys"
	"github.com/caddysip/caddysip/internal/snomkeys/snom"
	"github.com/caddysip/caddysip/module/keyprofile"
)

// provisionKeys puts the configuration of keys into the generation.
func (a *App) provisionKeys() error {
	c := a.Keys
	if c == nil {
		return nil
	}
	if err := globals.Texts(c.Phones); err != nil {
		return fmt.Errorf("keys: phones: %w", err)
	}
	for _, p := range c.Profiles {
		if err := p.Replace(); err != nil {
			return located(fmt.Errorf("keys: profile %s: %w", p.Name, err), p.Source)
		}
	}
	if err := c.Validate(); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	g := a.generation
	g.Delivery = delivery.Settings{Batch: c.Batch, Rate: c.Rate, Phones: c.Phones}
	if c.Credentials != nil {
		credentials, err := c.Credentials.Replace(caddy.NewReplacer())
		switch {
		case err != nil:
			return fmt.Errorf("keys: %w", err)
		case c.Credentials.Realm == "":
			a.logger.Warn("the credentials of keys are the same for all phones, " +
				"so no challenge is answered with them: write " +
				"credentials { realm <of the phones>; password <text with {user} in it> }, one option a line")
		default:
			g.Delivery.Credentials = []uac.Credentials{uac.Credentials(credentials)}
		}
	}
	for _, m := range c.Models {
		g.Models = append(g.Models,
			snom.Model{Name: m.Name, Keys: m.Keys, Colors: m.Colors, Confidence: snom.Verified})
	}
	for i, p := range c.Profiles {
		for _, name := range p.Models {
			if _, known := g.Models.Lookup(name); !known {
				a.logger.Warn("a profile is for a model that is not known: "+
					"tell its keys in a model block, if the name is right",
					zap.String("profile", p.Name), zap.String("model", name))
			}
		}
		for i, user := range p.Users {
			p.Users[i] = a.canonicalAOR(user)
		}
		g.Profiles = append(g.Profiles, profileConfig(p))
		if p.MembersFile == "" {
			continue
		}
		if err := a.loadMembers(p.MembersFile, i); err != nil {
			return located(fmt.Errorf("keys: profile %s: members: %w", p.Name, err), p.Source)
		}
	}
	return nil
}

// profileConfig returns a profile as the store of keys takes it, without members.
func profileConfig(p *keyprofile.Profile) keys.ProfileConfig {
	c := keys.ProfileConfig{
		Name:       p.Name,
		Users:      p.Users,
		UserAgents: p.UserAgents,
		Models:     p.Models,
		HasMembers: p.MembersFile != "",
	}
	for _, k := range p.Keys {
		c.Keys = append(c.Keys, keys.ProfileKey(*k))
	}
	return c
}

// loadMembers reads the members of a profile of the generation, and adds their file to those that
// are followed.
func (a *App) loadMembers(path string, profile int) error {
	loading := true
	f := follow.New(path, func(content []byte) error {
		names, err := keyprofile.ParseMembers(content)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		members := make(map[string]struct{}, len(names))
		for name := range names {
			members[a.canonicalAOR(name)] = struct{}{}
		}
		if loading {
			a.generation.Profiles[profile].Members = members
			return nil
		}
		a.logger.Info("members read", zap.String("file", path), zap.Int("users", len(members)))
		list := slices.Clone(a.generation.Profiles)
		list[profile].Members = members
		a.engine.SetProfiles(a.generation, list)
		return nil
	}, follow.LogLost(a.logger, "the file of members", zap.String("file", path)))
	a.members = append(a.members, f)
	err := f.Load()
	loading = false
	return err
}

// watchMembers follows the files of members.
func (a *App) watchMembers() {
	if len(a.members) == 0 {
		return
	}
	a.unwatch = follow.Watch(a.members, func(path string, err error) {
		a.logger.Error("the file of members is not taken: they are those that it had before",
			zap.String("file", path), zap.Error(err))
	})
}
