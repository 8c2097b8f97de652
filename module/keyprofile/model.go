package keyprofile

import (
	"fmt"
	"strings"

	"github.com/caddysip/caddysip/internal/snomkeys/buttons"
	"github.com/caddysip/caddysip/internal/snomkeys/keys"
	"github.com/caddysip/caddysip/internal/snomkeys/snom"
)

// Model is a model of a Snom phone. What is known of it only leads to warnings: a key that a phone
// does not have is not refused, since a user may have several phones.
type Model struct {
	// The name as the phone writes it behind "snom" in its User-Agent. Case and a leading D do not
	// matter.
	Name string `json:"name"`

	// How many keys it has.
	Keys int `json:"keys"`

	// The colours of its lamps: red, green, orange. Default: not known, so that any will do.
	Colors []string `json:"colors,omitempty"`
}

// Validate returns what is wrong with the model.
func (m *Model) Validate() error {
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
		return fmt.Errorf("%q: write it as the phone does behind snom in its User-Agent, "+
			"as in 370 or D785", name)
	}
	return nil
}
