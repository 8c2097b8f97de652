package location

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/internal/clock"
)

// TestClockIsSet sets the system's clock while phones are registered, and restarts the server after
// that: registrations last as long as the phones were promised.
func TestClockIsSet(t *testing.T) {
	for _, by := range []time.Duration{
		time.Hour, -time.Hour, 40 * time.Second, 56 * 365 * 24 * time.Hour, -20 * 365 * 24 * time.Hour,
	} {
		synctest.Test(t, func(t *testing.T) {
			var offset time.Duration
			wall := func() time.Time { return time.Now().Add(offset) }
			c := clock.FromWall(wall)
			s := newStore(t, Options{Clock: c})
			mustUpdate(t, s, update("one", 1, contact(t, "sip:a@192.0.2.20")))
			pass(time.Minute)

			offset = by
			if _, set := c.Check(); !set {
				t.Fatal("nobody notices")
			}
			pass(time.Minute)
			b := wantContacts(t, s, "sip:a@192.0.2.20")[0]
			if left := s.Remaining(b); left != 3480 {
				t.Errorf("set by %v: it lasts %d seconds more", by, left)
			}
			mustUpdate(t, s, update("two", 1, contact(t, "sip:b@192.0.2.20")))
			all := s.Lookup([]byte(alice), nil)
			data, expires := s.AppendStored(nil, all)
			if want := wall().Add(time.Hour); !expires.Equal(want) {
				t.Errorf("set by %v: the record expires at %v, want %v", by, expires, want)
			}
			if shown := s.WallTime(all[0].Expires()); !shown.Equal(expires) {
				t.Errorf("set by %v: it expires at %v, and is shown to at %v", by, expires, shown)
			}

			// The next process has the system's clock from the start.
			pass(time.Minute)
			for name, set := range map[string]struct{ by, earlier time.Duration }{
				"right": {0, 0}, "back": {-time.Hour, time.Minute}, "in 1970": {-wall().Sub(time.Unix(3600, 0)),
					time.Minute},
			} {
				now := wall().Add(set.by)
				after := newStore(t, Options{Clock: clock.FromWall(func() time.Time { return now })})
				records, err := ParseStored(alice, data)
				if err != nil {
					t.Fatal(err)
				}
				if err := after.Restore(records...); err != nil {
					t.Fatal(err)
				}
				restored := after.Lookup([]byte(alice), nil)
				if len(restored) != 2 {
					t.Errorf("set by %v, then %s: %d of 2 bindings are there", by, name, len(restored))
					continue
				}
				if set.by == 0 && contacts(restored) != contacts(all) {
					t.Errorf("set by %v, then %s: bindings are %s, want %s", by, name, contacts(restored),
						contacts(all))
				}
				for _, b := range restored {
					want := s.Remaining(s.find(b.Contact())) + uint32(set.earlier/time.Second)
					if left := after.Remaining(b); left > 3600 || set.by == 0 && left != want || set.by != 0 &&
						left < want {
						t.Errorf("set by %v, then %s: %s lasts %d seconds more, %d at first", by, name, b.Contact(),
							left, want)
					}
					if b.Updated().After(now) {
						t.Errorf("set by %v, then %s: it was refreshed at %v, and it is %v", by, name, b.Updated(), now)
					}
					if first := s.find(b.Contact()); !b.Registered().Equal(first.Registered()) {
						t.Errorf("it is registered since %v, want %v", b.Registered(), first.Registered())
					}
				}
			}
		})
	}
}

// find returns alice's binding with a Contact.
func (s *Store) find(contact string) *Binding {
	for _, b := range s.Lookup([]byte(alice), nil) {
		if b.Contact() == contact {
			return b
		}
	}
	return nil
}
