package keys

import (
	"fmt"
	"strconv"

	"github.com/caddysip/caddysip/internal/snomkeys/buttons"
)

// Limits of a record.
const (
	MaxKey  = 999 // the highest key
	MaxText = 255 // bytes of a label, and of a number
)

// Record is what a key shows and does. It is a whole: phones know no partial changes.
type Record struct {
	Key    int    `json:"key"`              // 1 to MaxKey
	Light  string `json:"light,omitempty"`  // one of buttons.Lights; empty: off
	Color  string `json:"color,omitempty"`  // one of buttons.Colors; empty: the phone's own
	Label  string `json:"label,omitempty"`  // at most MaxText bytes
	Number string `json:"number,omitempty"` // what the key dials, at most MaxText bytes; empty: nothing
	Action string `json:"action,omitempty"` // one of buttons.Actions; empty: invite
}

// FieldError says which field of a record is wrong, by its name in JSON, and why.
type FieldError = buttons.FieldError

// ParseKey returns the key that a text names. The error is a *FieldError.
func ParseKey(text string) (int, error) {
	key, err := strconv.Atoi(text)
	if err != nil || !validKey(key) {
		return 0, keyRange(strconv.Quote(text))
	}
	return key, nil
}

func validKey(key int) bool { return key >= 1 && key <= MaxKey }

// keyRange is the error for what is no key.
func keyRange(given string) error {
	return &FieldError{Field: "key", Reason: fmt.Sprintf("must be 1 to %d, not %s", MaxKey, given)}
}

// Validate returns a *FieldError if the record is wrong.
func (r Record) Validate() error {
	if !validKey(r.Key) {
		return keyRange(strconv.Itoa(r.Key))
	}
	for _, f := range [...]struct{ name, value string }{{"label", r.Label}, {"number", r.Number}} {
		if len(f.value) > MaxText {
			return &FieldError{
				Field:  f.name,
				Reason: fmt.Sprintf("has %d bytes, %d are possible", len(f.value), MaxText),
			}
		}
	}
	b := r.Button()
	return b.Validate()
}

// Button returns the record as it is written to a phone.
func (r Record) Button() buttons.Button {
	return buttons.Button{
		Key:    strconv.Itoa(r.Key),
		Light:  r.Light,
		Color:  r.Color,
		Number: r.Number,
		Action: r.Action,
		Label:  r.Label,
	}
}
