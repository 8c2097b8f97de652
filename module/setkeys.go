package module

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddysip/caddysip/internal/snomkeys/keys"
)

// Key is what a function key shows and does. It is a whole: what is left out is not as it was, but
// as the phone has it by default.
type Key struct {
	Key    int    // its number, 1 to 999
	Light  string // on, off, hold, park, pickup, message, offline, seized, record or error; empty: off
	Color  string // red, green, orange, local or remote; empty: the phone's own
	Label  string // at most 255 bytes of UTF-8, without control characters
	Number string // what the key dials, at most 255 bytes; empty: nothing
	Action string // invite or message: how it dials; empty: invite
}

// The layers of a key, from the bottom up: the top-most that says something about a key wins, and
// when it lets go, what lies below shows again. Below all of them are the key profiles of the
// configuration. A locked key of a profile or of the admin layer is above the user layer.
const (
	LayerAdmin = "admin" // the operator's: the admin API
	LayerUser  = "user"  // the user's own
	LayerEvent = "event" // what happens: a call, a door, a balance
)

// KeyChange sets or clears what a layer says about a key of a user, on all the user's phones.
type KeyChange struct {
	AOR   string // canonical, as ParseAOR and AppendAOR write it
	Layer string // LayerEvent if it is empty

	Set   *Key // what the key is to show
	Clear int  // without Set: the key about which the layer says nothing any more

	Locked bool          // users can't change it; of LayerAdmin alone
	TTL    time.Duration // after which the layer lets go by itself, also while no server runs; 0: never

	// Volatile says that the change is not stored, and goes with the process: for what belongs to a
	// call. It is for LayerEvent.
	Volatile bool
}

// KeyError says which of several changes is refused, and why. None has been made then.
type KeyError struct {
	Index int // of the change
	AOR   string
	Field string // the name of the field in JSON, such as light; empty: another reason
	Err   error
}

// Error implements error.
func (e *KeyError) Error() string {
	return fmt.Sprintf("key change %d, of %s: %v", e.Index, e.AOR, e.Err)
}

// Unwrap returns the reason.
func (e *KeyError) Unwrap() error { return e.Err }

// PoolKeys is the pool of Request.Go in which handlers call SetKeys.
const PoolKeys = "keys"

// SetKeys makes all changes, in their order, or none of them when it returns an error: a *KeyError
// for a change that is refused, or the storage's error. What has been made is stored and survives
// the power going off, but for what is volatile; the phones are told soon after, by themselves, as
// often as it takes while they are registered.
//
// It waits for the disk: handlers call it by Request.Go, with PoolKeys.
func (a *App) SetKeys(ctx context.Context, changes ...KeyChange) error {
	list := make([]keys.Change, len(changes))
	for i := range changes {
		c := &changes[i]
		layer := keys.Event
		if c.Layer != "" {
			var err error
			if layer, err = keys.ParseLayer(c.Layer); err != nil {
				return keyError(&keys.ChangeError{Index: i, AOR: c.AOR, Err: err})
			}
		}
		list[i] = keys.Change{AOR: c.AOR, Layer: layer, Key: c.Clear, Locked: c.Locked, TTL: c.TTL, Volatile: c.Volatile}
		if c.Set != nil {
			record := keys.Record(*c.Set)
			list[i].Record, list[i].Key = &record, 0
		}
	}
	return keyError(a.engine.Keys.Apply(ctx, list))
}

func keyError(err error) error {
	var change *keys.ChangeError
	if !errors.As(err, &change) {
		return err
	}
	e := &KeyError{Index: change.Index, AOR: change.AOR, Err: change.Err}
	var field *keys.FieldError
	if errors.As(err, &field) {
		e.Field = field.Field
	}
	return e
}

// EffectiveKeys returns what a user's keys should show on a phone that registers with a User-Agent,
// by key: profiles may look at it. aor is canonical. It reads memory alone.
func (a *App) EffectiveKeys(aor, userAgent string) []Key {
	effective := a.engine.Keys.Effective(aor, keys.PhoneOf(userAgent))
	list := make([]Key, len(effective))
	for i := range effective {
		list[i] = Key(effective[i].Record)
	}
	return list
}
