package keyprofile

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddysip/caddysip/internal/globals"
	"github.com/caddysip/caddysip/internal/snomkeys/keys"
)

// Profile gives keys to users and phones. It is for those of whom all that it says is true; one
// that says nothing is for everybody.
//
// Global placeholders in its texts, such as {env.NAME}, are replaced when the configuration is
// loaded. In globs their values are part of the glob.
//
// Users and MembersFile both name users: with both, being in one of them is enough. UserAgents and
// Models then say on which of the users' phones the keys are.
type Profile struct {
	// The name, for whoever reads the configuration and the log.
	Name string `json:"name"`

	// Globs for users, of which one must match the user part of the address-of-record, or all of it
	// if the glob has an @. * stands for any text, ? for a character.
	Users []string `json:"users,omitempty"`

	// A file with more users; ParseMembers says what is in it. The file is read again when it
	// changes. Placeholders are allowed.
	MembersFile string `json:"members_file,omitempty"`

	// Phones, by their User-Agent: one of these globs must match. Case does not matter.
	UserAgents []string `json:"user_agents,omitempty"`

	// Phones, by their model, such as 370 or D785. Case and the D do not matter.
	Models []string `json:"models,omitempty"`

	// The keys.
	Keys []*Key `json:"keys,omitempty"`

	// Where in a Caddyfile the profile is written, as file:line, for errors. It has no other
	// effect.
	Source string `json:"source,omitempty"`
}

// Replace replaces the global placeholders in the profile's texts, and checks what came out.
func (p *Profile) Replace() (err error) {
	if p.Name, err = globals.Text(p.Name); err != nil {
		return err
	}
	for _, list := range [...]struct {
		option string
		texts  []string
	}{{"users", p.Users}, {"user_agent", p.UserAgents}, {"model", p.Models}} {
		if err := globals.Texts(list.texts); err != nil {
			return fmt.Errorf("%s: %w", list.option, err)
		}
	}
	if p.MembersFile, err = globals.Text(p.MembersFile); err != nil {
		return fmt.Errorf("members: %w", err)
	}
	for _, k := range p.Keys {
		if k.Label, err = globals.Text(k.Label, keys.Variables...); err != nil {
			return fmt.Errorf("key %d: label: %w", k.Key, err)
		}
		if k.Number, err = globals.Text(k.Number, keys.Variables...); err != nil {
			return fmt.Errorf("key %d: number: %w", k.Key, err)
		}
	}
	return p.Validate()
}

// Validate returns what is wrong with the profile.
func (p *Profile) Validate() error {
	if p.Name == "" {
		return errors.New("it needs a name")
	}
	if slices.Contains(p.Users, "") || slices.Contains(p.UserAgents, "") {
		return errors.New("an empty glob matches nobody")
	}
	for _, name := range p.Models {
		if strings.Contains(name, "{") {
			continue // until its placeholders are replaced
		}
		if err := checkModel(name); err != nil {
			return fmt.Errorf("model %w", err)
		}
	}
	for i, k := range p.Keys {
		if err := k.Validate(); err != nil {
			return err
		}
		if slices.ContainsFunc(p.Keys[:i], func(o *Key) bool { return o.Key == k.Key }) {
			return fmt.Errorf("key %d is there twice", k.Key)
		}
	}
	return nil
}

// Key is what a profile says about a key of a phone. It is sent as a whole: what is left out has
// its default, whatever the phone showed before.
type Key struct {
	// The number of the key, 1 to 999. On the phone it is a key of the type Button, with this
	// number.
	Key int `json:"key"`

	// The lamp: on, off, hold, park, pickup, message, offline, seized, record or error. Default:
	// off.
	Light string `json:"light,omitempty"`

	// The colour of the lamp: red, green, orange, local or remote. Default: the phone's own.
	Color string `json:"color,omitempty"`

	// The text beside the key, at most 255 bytes. {user} and {domain} are those of the user,
	// {model} is the phone's.
	Label string `json:"label,omitempty"`

	// What the key dials, at most 255 bytes, with {user}, {domain} and {model} as in Label.
	// Default: pressing it does nothing.
	Number string `json:"number,omitempty"`

	// What pressing the key sends: invite or message. Default: invite.
	Action string `json:"action,omitempty"`

	// Whether users can't change it.
	Locked bool `json:"locked,omitempty"`
}

// Validate returns what is wrong with the key.
func (k *Key) Validate() error {
	if err := keys.ProfileKey(*k).Record().Validate(); err != nil {
		return fmt.Errorf("key %d: %w", k.Key, err)
	}
	return nil
}
