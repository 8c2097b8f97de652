package engine

import (
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/internal/clock"
	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/snomkeys/keys"
)

// TestClockIsSet sets the system's clock while phones are registered: after a restart they are
// still registered, for as long as before.
func TestClockIsSet(t *testing.T) {
	// The file has the bubble's clock, so that is the one which is right in the end, or behind.
	for name, clocks := range map[string]struct{ before, after time.Duration }{
		"forward": {0, time.Hour}, "back": {time.Hour, 0}, "from 1970": {-30 * 365 * 24 * time.Hour, 0},
	} {
		for _, wait := range []time.Duration{0, 2 * time.Second} { // stopped at once, and later
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var set atomic.Int64 // how far the system's clock is off
					set.Store(int64(clocks.before))
					wall := func() time.Time { return time.Now().Add(time.Duration(set.Load())) }
					begin := func() *Engine {
						e := newAt(clock.FromWall(wall))
						t.Cleanup(func() { _ = e.Destruct() })
						return e
					}
					s := file(filepath.Join(t.TempDir(), "sip.db"))
					e := begin()
					g := mustAttach(t, e, stored(s))
					register(t, e, "alice", 1, 30*time.Minute)
					register(t, e, "bob", 1, time.Minute)
					setKey(t, e, "alice", 5, 2*time.Minute)
					time.Sleep(30 * time.Second)

					set.Store(int64(clocks.after))
					time.Sleep(wait)
					if wait > 0 {
						register(t, e, "carol", 1, 30*time.Minute)
						time.Sleep(wait)
						wantUsers(t, e, "alice bob carol")
					}
					e.Detach(g)
					_ = e.Destruct()

					e = begin()
					mustAttach(t, e, stored(s))
					want := "alice bob"
					if wait > 0 {
						want += " carol"
					}
					wantUsers(t, e, want)
					got := e.Keys.Effective("alice@example.com", keys.Phone{})
					if len(got) != 1 ||
						(time.Until(got[0].Expires.Add(-clocks.after))-90*time.Second+2*wait).Abs() > time.Second {
						t.Errorf("the key is %+v", got)
					}
					for user, lasts := range map[string]time.Duration{"alice": 30 * time.Minute, "bob": time.Minute} {
						b := e.Location.Lookup([]byte(user+"@example.com"), nil)[0]
						left := time.Duration(e.Location.Remaining(b)) * time.Second
						if want := lasts - 30*time.Second - 2*wait; left < want-time.Second || left > want+time.Second {
							t.Errorf("%s is registered for %v more, want %v", user, left, want)
						}
					}
				})
			})
		}
	}
}

// setKey sets a key that ends by itself.
func setKey(t testing.TB, e *Engine, user string, key int, ttl time.Duration) {
	t.Helper()
	if err := e.Keys.Apply(t.Context(), []keys.Change{{
		AOR: user + "@example.com", Layer: keys.Admin, TTL: ttl, Record: &keys.Record{Key: key, Label: "ends"},
	}}); err != nil {
		t.Fatal(err)
	}
}

// TestClockIsBackAtStart starts the server with a clock that is behind that of the process before:
// no registration lasts longer than the phone was promised.
func TestClockIsBackAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := file(filepath.Join(t.TempDir(), "sip.db"))
		e := newEngine(t)
		g := mustAttach(t, e, stored(s))
		register(t, e, "alice", 1, 10*time.Minute)
		time.Sleep(time.Second)
		e.Detach(g)

		wall := func() time.Time { return time.Now().Add(-20 * 365 * 24 * time.Hour) }
		e = newAt(clock.FromWall(wall))
		defer e.Destruct()
		mustAttach(t, e, stored(s))
		var room [1]*location.Binding
		b := e.Location.Lookup([]byte("alice@example.com"), room[:0])[0]
		if left := e.Location.Remaining(b); left < 590 || left > 600 {
			t.Errorf("alice is registered for %d seconds more", left)
		}
		time.Sleep(10*time.Minute + 2*time.Second)
		wantUsers(t, e, "")
	})
}
