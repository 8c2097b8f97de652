package location

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestPart finds each binding once, and none that Lookup does not find.
func TestPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, Options{})
		for i := range 1000 {
			u := phone(t, i)
			u.Contacts[0].Expires = 60 + uint32(i)%2*600
			mustUpdate(t, s, u)
		}
		all := func() (found []string) {
			for i := range Parts {
				for _, b := range s.Part(i, nil) {
					found = append(found, b.AOR())
				}
			}
			slices.Sort(found)
			return found
		}
		if found := all(); len(found) != 1000 || len(slices.Compact(found)) != 1000 {
			t.Errorf("found %d of 1000", len(found))
		}
		time.Sleep(61 * time.Second)
		if n := len(all()); n != 500 {
			t.Errorf("found %d, and 500 have not expired", n)
		}
	})
}

// TestRemoveBinding removes bindings: those that are there, and no others.
func TestRemoveBinding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events []string
		s := newStore(t, Options{
			OnRemoved: func(b *Binding, replaced bool) { events = append(events, fmt.Sprint(b.Contact(), replaced)) },
			OnChange:  func(aor string) { events = append(events, aor) },
		})
		mustUpdate(t, s, update("c1", 1, contact(t, "sip:a@192.0.2.1"), contact(t, "sip:b@192.0.2.2")))
		old := s.Lookup([]byte(alice), nil)
		mustUpdate(t, s, update("c1", 2, contact(t, "sip:a@192.0.2.1"), contact(t, "sip:b@192.0.2.2")))
		now := s.Lookup([]byte(alice), nil)
		events = nil
		if s.RemoveBinding(old[0]) || s.RemoveBinding(old[1]) || len(events) != 0 {
			t.Errorf("a binding that was refreshed is ended: %q", events)
		}
		gone := now[0].Contact()
		if !s.RemoveBinding(now[0]) || s.RemoveBinding(now[0]) {
			t.Error("it is not ended once")
		}
		if want := []string{gone + "false", alice}; !slices.Equal(events, want) {
			t.Errorf("the hooks are told %q, want %q", events, want)
		}
		wantLen(t, s, 1, 1)
		if !s.RemoveBinding(now[1]) {
			t.Error("the last one is not ended")
		}
		wantLen(t, s, 0, 0)
		if n := s.Bytes(); n != 0 {
			t.Errorf("%d bytes are held", n)
		}
		if !s.Known([]byte(alice)) {
			t.Error("she is forgotten")
		}
	})
}

// TestAge counts the seconds since the last refresh.
func TestAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, Options{})
		for i := range 2 {
			mustUpdate(t, s, update("c1", uint32(i+1), contact(t, "sip:a@192.0.2.1")))
			time.Sleep(30 * time.Second)
			b := s.Lookup([]byte(alice), nil)[0]
			if age := s.Age(b); age < 29 || age > 30 {
				t.Errorf("it is %d s old", age)
			}
		}
	})
}
