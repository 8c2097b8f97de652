package module

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/snomkeys/buttons"
	"github.com/caddysip/caddysip/internal/snomkeys/delivery"
	"github.com/caddysip/caddysip/internal/snomkeys/keys"
	"github.com/caddysip/caddysip/internal/snomkeys/snom"
)

// Keys is what function keys of Snom phones show unless something else says otherwise, and how they are told.
type Keys struct {
	// The profiles: keys that are given to users and phones. Where several of them say something about a key of a phone, the first does it.
	Profiles []*KeyProfile `json:"profiles,omitempty"`

	// Models of phones that caddysip does not know, or not rightly.
	Models []*PhoneModel `json:"models,omitempty"`

	// Whether one message to a phone may set several keys. Not every firmware takes that. Default: a message for each key.
	Batch bool `json:"batch,omitempty"`

	// How many messages a second are sent to all phones together. Default: 500.
	Rate int `json:"rate,omitempty"`

	// What phones that want a password for a message are answered with. Default: they are not answered, and get no keys.
	Credentials *KeyCredentials `json:"credentials,omitempty"`

	// Phones that have such keys beside those of Snom, by their User-Agent: one of these globs must match. Case does not matter.
	Phones []string `json:"phones,omitempty"`
}

// KeyCredentials are the name and password by which phones know that a message is the server's. Each user's phones have
// a password of their own, since whoever registers such a phone may have something signed with it. {user} stands for the
// user part of the address-of-record.
type KeyCredentials struct {
	// The realm of the phones' challenges: others are not answered. Without it none is. Placeholders are allowed.
	Realm string `json:"realm,omitempty"`

	// The name. Placeholders are allowed. Default: {user}.
	Username string `json:"username,omitempty"`

	// The password, with {user} in it. Placeholders are allowed.
	Password string `json:"password"`
}

// Validate tells what is wrong with the credentials.
func (c *KeyCredentials) Validate() error {
	switch {
	case c.Realm == "" && (c.Username == "" || c.Password == ""):
		return errors.New("credentials need a username and a password")
	case c.Realm != "" && !strings.Contains(c.Password, "{user}"):
		return errors.New("the password of credentials needs {user} in it, so that each user's phones have one of their own")
	}
	return nil
}

// KeyProfile gives keys to users and phones: to those for whom all that is said here is true, to all if nothing is said. A user may be named by users,
// or by the file of members.
type KeyProfile struct {
	// The name, for whoever reads the configuration.
	Name string `json:"name"`

	// Users, by the user part of their address-of-record: one of these globs must match.
	Users []string `json:"users,omitempty"`

	// A file with more users: one a line, as user or as user@domain, in any order. Empty lines, and what follows a #, say nothing. The file is read
	// again when it changes. Placeholders are allowed.
	MembersFile string `json:"members_file,omitempty"`

	// Phones, by their User-Agent: one of these globs must match. Case does not matter.
	UserAgents []string `json:"user_agents,omitempty"`

	// Phones, by their model, such as 370 or D785. Case and the D do not matter.
	Models []string `json:"models,omitempty"`

	// The keys.
	Keys []*ProfileKey `json:"keys,omitempty"`
}

// ProfileKey is what a profile says about a key.
type ProfileKey struct {
	// The number of the key, 1 to 999. On the phone it is a key of the type Button, with this number.
	Key int `json:"key"`

	// The lamp: on, off, hold, park, pickup, message, offline, seized, record or error. Default: off.
	Light string `json:"light,omitempty"`

	// The colour of the lamp: red, green, orange, local or remote. Default: the phone's own.
	Color string `json:"color,omitempty"`

	// The text beside the key, at most 255 bytes.
	Label string `json:"label,omitempty"`

	// What the key dials, at most 255 bytes. Default: pressing it does nothing.
	Number string `json:"number,omitempty"`

	// What pressing the key sends: invite or message. Default: invite.
	Action string `json:"action,omitempty"`

	// Whether users can't change it.
	Locked bool `json:"locked,omitempty"`
}

// PhoneModel is a model of a Snom phone.
type PhoneModel struct {
	// The name as the phone writes it behind "snom" in its User-Agent. Case and a leading D do not matter.
	Name string `json:"name"`

	// How many keys it has.
	Keys int `json:"keys"`

	// The colours of its lamps: red, green, orange. Default: not known, so that any will do.
	Colors []string `json:"colors,omitempty"`
}

// Validate tells what is wrong with the keys, apart from what Profile.Validate and PhoneModel.Validate tell.
func (k *Keys) Validate() error {
	if k.Rate < 0 {
		return fmt.Errorf("rate %d: it must not be negative", k.Rate)
	}
	if c := k.Credentials; c != nil {
		if err := c.Validate(); err != nil {
			return err
		}
	}
	if slices.Contains(k.Phones, "") {
		return errors.New("phones: an empty glob matches nobody")
	}
	var names []string
	for _, p := range k.Profiles {
		if slices.Contains(names, p.Name) {
			return fmt.Errorf("profile %s is there twice", p.Name)
		}
		names = append(names, p.Name)
		if err := p.Validate(); err != nil {
			return fmt.Errorf("profile %s: %w", p.Name, err)
		}
	}
	for i, m := range k.Models {
		if err := m.Validate(); err != nil {
			return fmt.Errorf("model %s: %w", m.Name, err)
		}
		if slices.ContainsFunc(k.Models[:i], func(n *PhoneModel) bool { return snom.SameModel(m.Name, n.Name) }) {
			return fmt.Errorf("model %s is there twice", m.Name)
		}
	}
	return nil
}

// Validate tells what is wrong with the profile.
func (p *KeyProfile) Validate() error {
	if p.Name == "" {
		return errors.New("it needs a name")
	}
	if slices.Contains(p.Users, "") || slices.Contains(p.UserAgents, "") {
		return errors.New("an empty glob matches nobody")
	}
	for _, name := range p.Models {
		if err := checkModel(name); err != nil {
			return fmt.Errorf("model %w", err)
		}
	}
	for i, k := range p.Keys {
		if err := k.Validate(); err != nil {
			return err
		}
		if slices.ContainsFunc(p.Keys[:i], func(o *ProfileKey) bool { return o.Key == k.Key }) {
			return fmt.Errorf("key %d is there twice", k.Key)
		}
	}
	return nil
}

// Validate tells what is wrong with the key.
func (k *ProfileKey) Validate() error {
	if err := k.record().Validate(); err != nil {
		return fmt.Errorf("key %d: %w", k.Key, err)
	}
	return nil
}

func (k *ProfileKey) record() keys.Record {
	return keys.Record{Key: k.Key, Light: k.Light, Color: k.Color, Label: k.Label, Number: k.Number, Action: k.Action}
}

// Validate tells what is wrong with the model.
func (m *PhoneModel) Validate() error {
	if err := checkModel(m.Name); err != nil {
		return err
	}
	if m.Keys < 1 || m.Keys > keys.MaxKey {
		return fmt.Errorf("keys must be 1 to %d, not %d", keys.MaxKey, m.Keys)
	}
	for _, c := range m.Colors {
		if !buttons.ValidColor(c) || c == "local" || c == "remote" {
			return fmt.Errorf("colors must be of red, green, orange, not %q", c)
		}
	}
	return nil
}

// checkModel refuses a name that no phone's User-Agent has.
func checkModel(name string) error {
	agent, _ := snom.ParseUserAgent("snom" + name + "/1")
	if agent.Model != name || name == "" || strings.HasPrefix(strings.ToLower(name), "snom") {
		return fmt.Errorf("%q: write it as the phone does behind snom in its User-Agent, as in 370 or D785", name)
	}
	return nil
}

// provisionKeys finds out which profiles there are.
func (a *App) provisionKeys() error {
	if a.Keys == nil {
		return nil
	}
	if err := a.Keys.Validate(); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	repl := caddy.NewReplacer()
	a.generation.Delivery = delivery.Settings{Batch: a.Keys.Batch, Rate: a.Keys.Rate, Phones: a.Keys.Phones}
	if c := a.Keys.Credentials; c != nil {
		d := delivery.Credentials{
			Realm:    repl.ReplaceKnown(c.Realm, ""),
			Username: repl.ReplaceKnown(cmp.Or(c.Username, "{user}"), ""),
			Password: repl.ReplaceKnown(c.Password, ""),
		}
		switch {
		case d.Username == "" || d.Password == "":
			return errors.New("keys: credentials need a username and a password: their placeholders are empty")
		case c.Realm == "":
			a.logger.Warn("the credentials of keys are the same for all phones, so no challenge is answered with them: write " +
				"credentials { realm <of the phones>; password <text with {user} in it> }, one option a line")
		case d.Realm == "" || d.Password == "{user}":
			return errors.New("keys: credentials need a realm, and a secret in the password: their placeholders are empty")
		default:
			a.generation.Delivery.Credentials = d
		}
	}
	for _, m := range a.Keys.Models {
		a.generation.Models = append(a.generation.Models, snom.Model{Name: m.Name, Keys: m.Keys, Colors: m.Colors, Confidence: snom.Verified})
	}
	for _, p := range a.Keys.Profiles {
		c := keys.ProfileConfig{Name: p.Name, Users: p.Users, UserAgents: p.UserAgents, Models: p.Models, HasMembers: p.MembersFile != ""}
		for _, k := range p.Keys {
			c.Keys = append(c.Keys, keys.ProfileKey{Record: k.record(), Locked: k.Locked})
		}
		for _, name := range p.Models {
			if _, known := a.generation.Models.Lookup(name); !known {
				a.logger.Warn("a profile is for a model that is not known: tell its keys in a model block, if the name is right",
					zap.String("profile", p.Name), zap.String("model", name))
			}
		}
		a.generation.Profiles = append(a.generation.Profiles, c)
		if !c.HasMembers {
			continue
		}
		path, err := repl.ReplaceOrErr(p.MembersFile, true, true)
		if err == nil {
			err = a.loadMembers(path, len(a.generation.Profiles)-1)
		}
		if err != nil {
			return fmt.Errorf("keys: profile %s: members: %w", p.Name, err)
		}
	}
	return nil
}
