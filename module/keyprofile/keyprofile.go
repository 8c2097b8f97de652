package keyprofile

import (
	"errors"
	"fmt"
	"slices"

	"github.com/caddysip/caddysip/internal/snomkeys/snom"
)

// Config is what function keys of Snom phones show unless something else says otherwise, and how
// the phones are told.
type Config struct {
	// The profiles: keys that are given to users and phones. Where several of them say something
	// about a key of a phone, the first one counts.
	Profiles []*Profile `json:"profiles,omitempty"`

	// Models of phones that caddysip does not know, or knows wrongly.
	Models []*Model `json:"models,omitempty"`

	// Whether one message to a phone may set several keys. Not every firmware takes that. Default:
	// a message for each key.
	Batch bool `json:"batch,omitempty"`

	// How many messages a second are sent to all phones together. Default: 500.
	Rate int `json:"rate,omitempty"`

	// What phones that want a password for a message are answered with. Default: they are not
	// answered, and get no keys.
	Credentials *Credentials `json:"credentials,omitempty"`

	// Phones that have such keys beside those of Snom, by their User-Agent: one of these globs must
	// match. Case does not matter. Global placeholders, such as {env.NAME}, are replaced.
	Phones []string `json:"phones,omitempty"`
}

// Validate returns what is wrong with the configuration, profiles, models and credentials included.
// Whether a file of members can be read shows only when the app loads it.
func (c *Config) Validate() error {
	if c.Rate < 0 {
		return fmt.Errorf("rate %d: it must not be negative", c.Rate)
	}
	if c.Credentials != nil {
		if err := c.Credentials.Validate(); err != nil {
			return err
		}
	}
	if slices.Contains(c.Phones, "") {
		return errors.New("phones: an empty glob matches nobody")
	}
	var names []string
	for _, p := range c.Profiles {
		if slices.Contains(names, p.Name) {
			return fmt.Errorf("profile %s is there twice", p.Name)
		}
		names = append(names, p.Name)
		if err := p.Validate(); err != nil {
			return fmt.Errorf("profile %s: %w", p.Name, err)
		}
	}
	for i, m := range c.Models {
		if err := m.Validate(); err != nil {
			return fmt.Errorf("model %s: %w", m.Name, err)
		}
		same := func(o *Model) bool { return snom.SameModel(m.Name, o.Name) }
		if slices.ContainsFunc(c.Models[:i], same) {
			return fmt.Errorf("model %s is there twice", m.Name)
		}
	}
	return nil
}
