package buttons

import (
	"slices"
	"strings"
)

// ContentType is the media type of a document.
const ContentType = "application/x-buttons"

// The limits of a document, far above what a phone takes. They bound the work that one message can
// cause.
const (
	MaxDocument = 64 << 10 // bytes
	MaxButtons  = 256      // descriptions
)

// Button is one button description.
type Button struct {
	Key    string // k, the name of the key; required
	Light  string // c, one of Lights; empty: not given, which a phone shows as off
	Color  string // o, one of Colors; empty: not given, the phone's own colour
	Number string // n, what the key dials; empty: pressing it does nothing
	Action string // a, one of Actions; empty: not given, which means invite
	Label  string // l

	// Extra are the properties that have no field of their own, in the order
	// in which they came.
	Extra []Property
}

// Property is a property whose meaning this package does not know.
type Property struct {
	Name  string // one or more ASCII letters, digits or hyphens
	Value string
}

// The values that Snom phones know, in the order in which they are documented.
var (
	lights = []string{
		"on",
		"off",
		"hold",
		"park",
		"pickup",
		"message",
		"offline",
		"seized",
		"record",
		"error",
	}
	colors  = []string{"red", "green", "orange", "local", "remote"}
	actions = []string{"invite", "message"}
)

// Lights returns the values of the c property. The slice is the caller's.
func Lights() []string { return slices.Clone(lights) }

// Colors returns the values of the o property. The slice is the caller's.
func Colors() []string { return slices.Clone(colors) }

// Actions returns the values of the a property. The slice is the caller's.
func Actions() []string { return slices.Clone(actions) }

// ValidLight reports whether s is one of Lights.
func ValidLight(s string) bool { return slices.Contains(lights, s) }

// ValidColor reports whether s is one of Colors.
func ValidColor(s string) bool { return slices.Contains(colors, s) }

// Validate returns a *FieldError for the first field that AppendDocument would refuse, or whose
// value no phone knows. Light, Color and Action may be empty.
func (b *Button) Validate() error {
	if err := b.check(); err != nil {
		return err
	}
	for _, f := range [...]struct {
		name, value string
		known       []string
	}{{"light", b.Light, lights}, {"color", b.Color, colors}, {"action", b.Action, actions}} {
		if f.value != "" && !slices.Contains(f.known, f.value) {
			return &FieldError{f.name, "must be one of " + strings.Join(f.known, " ")}
		}
	}
	return nil
}

// FieldError says which field of a Button can't be written, and why.
type FieldError struct {
	Field  string // the lower-case name of the field: key, light, color, number, action, label, extra
	Reason string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Reason }
