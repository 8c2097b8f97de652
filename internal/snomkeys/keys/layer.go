package keys

import (
	"fmt"
	"time"
)

// Layer says who set what a key should show.
type Layer uint8

// The layers, from the bottom up. A locked record of the admin or profile layer is above the user
// layer.
const (
	Profile Layer = iota // the configuration
	Admin                // the admin API
	User                 // the user
	Event                // calls and other things that happen
)

var layerNames = [...]string{Profile: "profile", Admin: "admin", User: "user", Event: "event"}

// String returns the layer's name.
func (l Layer) String() string {
	if int(l) < len(layerNames) {
		return layerNames[l]
	}
	return fmt.Sprintf("layer %d", l)
}

// ParseLayer returns the layer of a name. The error is a *FieldError.
func ParseLayer(name string) (Layer, error) {
	for l, n := range layerNames {
		if n == name {
			return Layer(l), nil
		}
	}
	return 0, &FieldError{Field: "layer", Reason: "must be one of profile admin user event"}
}

// MarshalText implements encoding.TextMarshaler.
func (l Layer) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *Layer) UnmarshalText(text []byte) (err error) {
	*l, err = ParseLayer(string(text))
	return err
}

// Stored is what a layer says about a key.
type Stored struct {
	Record
	Layer    Layer     `json:"layer"`
	Locked   bool      `json:"locked,omitempty"`   // users can't change it
	Volatile bool      `json:"volatile,omitempty"` // it goes with the process
	Expires  time.Time `json:"expires,omitzero"`   // when it ends by itself; the zero time: never

	ttl time.Duration // how long after it was set it ends
}

// rank orders what the layers say about one key: the highest shows. Of two locked records that of
// the admin API is above that of the configuration, as without a lock.
func (s *Stored) rank() int {
	switch {
	case s.Layer == Event:
		return 5
	case s.Locked && s.Layer == Admin:
		return 4
	case s.Locked && s.Layer == Profile:
		return 3
	default:
		return int(s.Layer)
	}
}

// expired reports whether the record has ended.
func (s *Stored) expired(now time.Time) bool { return !s.Expires.IsZero() && !s.Expires.After(now) }
