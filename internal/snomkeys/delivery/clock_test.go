package delivery

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/internal/clock"
)

// setClock sets the system's clock, as the server notices it.
func (w *world) setClock(by time.Duration) {
	w.clockSet += by
	w.clock.Check()
	w.d.NotifyClockSet()
}

// TestClockIsSet sets the system's clock while a phone waits for its next message.
func TestClockIsSet(t *testing.T) {
	for _, by := range []time.Duration{time.Hour, -time.Hour, 56 * 365 * 24 * time.Hour} {
		inWorld(t, func(w *world) {
			w.answer(func(message) (int, time.Duration) { return 503, 0 })
			w.set(alice, "A", 1)
			w.register(registration{})
			time.Sleep(time.Second)
			synctest.Wait()
			w.state(alice, StateRetrying)
			if len(w.sent) != 1 {
				t.Fatalf("%d messages were sent", len(w.sent))
			}
			w.setClock(by)
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if len(w.sent) != 1 {
				t.Errorf("set by %v: the phone is asked again too early", by)
			}
			w.answer(nil)
			time.Sleep(4 * time.Second)
			synctest.Wait()
			if len(w.sent) != 2 {
				t.Errorf("set by %v: %d messages were sent", by, len(w.sent))
			}
			w.state(alice, StateCurrent)
			at := w.d.Status(alice)[0].Keys[0].At
			if ago := time.Now().Add(by).Sub(at); ago < 0 || ago > 5*time.Second {
				t.Errorf("set by %v: the phone acknowledged it %v ago", by, ago)
			}
		})
	}
}

// TestStoredTimes checks that stored times follow the system's clock, and what the next process
// makes of them when the clock was set in between.
func TestStoredTimes(t *testing.T) {
	for _, test := range []struct {
		by, after time.Duration // while the server runs, and while it does not
	}{
		{time.Hour, 0}, {-time.Hour, 0}, {0, -time.Hour}, {time.Hour, -2 * time.Hour}, {56 * 365 * 24 * time.Hour, 0},
	} {
		inWorld(t, func(w *world) {
			w.set(alice, "A", 1)
			w.register(registration{})
			w.expect("k=1 c=on l=A")
			w.set("102@example.com", "B", 1)
			w.register(registration{aor: "102@example.com", contact: "sip:102@192.0.2.9"})
			w.expect("k=1 c=on l=B")
			w.register(registration{aor: "102@example.com", contact: "sip:102@192.0.2.9", expires: gone})
			time.Sleep(time.Minute)
			w.setClock(test.by)
			time.Sleep(time.Minute)
			synctest.Wait()

			w.clockSet += test.after
			w.clock = clock.FromWall(func() time.Time { return time.Now().Add(w.clockSet) })
			w.restart()
			at, wall := w.d.Status(alice)[0].Keys[0].At, time.Now().Add(w.clockSet)
			if ago := wall.Sub(at); ago < 0 || test.after == 0 && ago < 2*time.Minute || ago > 3*time.Minute {
				t.Errorf("%+v: the phone acknowledged it %v ago", test, ago)
			}
			w.d.mu.Lock()
			left := w.d.users["102@example.com"].leftovers
			if len(left) != 1 {
				t.Errorf("%+v: what was left behind is forgotten: %v", test, left)
			} else if ago := wall.Unix() - int64(left[0].at); ago < 0 || ago > 180 {
				t.Errorf("%+v: it was left behind %v s ago", test, ago)
			}
			w.d.mu.Unlock()
		})
	}
}
