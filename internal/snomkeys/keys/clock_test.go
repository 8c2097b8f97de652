package keys

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/clock"
	"github.com/caddysip/caddysip/storage"
)

// startAt returns a store that uses e, and its clock, beside a system's clock that is off by *set.
func startAt(t testing.TB, e storage.Engine, set *time.Duration) (*Store, *clock.Clock) {
	t.Helper()
	c := clock.FromWall(func() time.Time { return time.Now().Add(*set) })
	s := New(Options{Logger: zap.NewNop, Clock: c})
	t.Cleanup(s.Close)
	if err := s.SwitchTo(e); err != nil {
		t.Fatal(err)
	}
	return s, c
}

// TestClockIsSet sets the system's clock while keys have a ttl. The storage uses the clock of the
// synctest bubble, which is right in the end.
func TestClockIsSet(t *testing.T) {
	for name, before := range map[string]time.Duration{
		"forward": -time.Hour, "back": time.Hour, "from 1970": -30 * 365 * 24 * time.Hour,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &failing{Engine: engines["bolt"](t)}
				set := before
				s, c := startAt(t, f, &set)
				mustApply(t, s,
					Change{AOR: alice, Layer: Event, Record: label(1, "soon"), TTL: 20 * time.Second},
					Change{AOR: alice, Layer: Admin, Record: label(2, "hours"), TTL: 2 * time.Hour},
					Change{AOR: bob, Layer: Admin, Record: label(1, "minutes"), TTL: 10 * time.Minute},
				)
				set = 0
				if _, told := c.Check(); !told {
					t.Fatal("nobody notices")
				}
				f.fail(errFull)
				if err := s.Rewrite(context.Background()); err == nil {
					t.Error("a storage that is full is none")
				}
				f.fail(nil)
				if err := s.Rewrite(context.Background()); err != nil {
					t.Fatal(err)
				}
				time.Sleep(20*time.Second - time.Millisecond)
				synctest.Wait()
				shows(t, s, alice, map[int]string{1: "soon", 2: "hours"})
				time.Sleep(time.Millisecond)
				synctest.Wait()
				shows(t, s, alice, map[int]string{2: "hours"})
				left := 2*time.Hour - 20*time.Second
				for what, at := range map[string]time.Time{
					"the key": s.Effective(alice, Phone{})[0].Expires, "the layer": s.Layer(alice, Admin)[0].Expires,
				} {
					if off := time.Until(at) - left; off.Abs() > time.Second {
						t.Errorf("%s ends at %v, in %v", what, at, time.Until(at))
					}
				}

				s.Close()
				time.Sleep(time.Minute)
				s, _ = startAt(t, f, &set)
				shows(t, s, alice, map[int]string{2: "hours"})
				shows(t, s, bob, map[int]string{1: "minutes"})
				time.Sleep(10 * time.Minute)
				shows(t, s, bob, map[int]string{})
				shows(t, s, alice, map[int]string{2: "hours"})
			})
		})
	}
}

// TestClockIsBackAtStart starts the server with a clock that is behind that of the process before:
// a ttl of 20 seconds does not become years.
func TestClockIsBackAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := engines["bolt"](t)
		set := time.Duration(0)
		s, _ := startAt(t, e, &set)
		mustApply(t, s,
			Change{AOR: alice, Layer: Event, Record: label(1, "soon"), TTL: 20 * time.Second},
			Change{AOR: alice, Layer: Admin, Record: label(2, "always")},
		)
		s.Close()
		set = -20 * 365 * 24 * time.Hour
		s, _ = startAt(t, e, &set)
		shows(t, s, alice, map[int]string{1: "soon", 2: "always"})
		time.Sleep(20 * time.Second)
		synctest.Wait()
		shows(t, s, alice, map[int]string{2: "always"})
	})
}
