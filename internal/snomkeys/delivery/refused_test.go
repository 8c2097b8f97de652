package delivery

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// logged returns what the log says of phones since it was called before.
func (w *world) logged() []string {
	w.t.Helper()
	list := []string{}
	for _, e := range w.logs.TakeAll() {
		m := e.ContextMap()
		list = append(list, fmt.Sprint(e.Level, ": ", e.Message, ": ", m["aor"], " ", m["problem"]))
	}
	return list
}

func (w *world) expectLog(want ...string) {
	w.t.Helper()
	time.Sleep(time.Second)
	synctest.Wait()
	got := w.logged()
	ok := len(got) == len(want)
	for i := range got {
		ok = ok && strings.Contains(got[i], want[i])
	}
	if !ok {
		w.t.Errorf("logged\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestRefusedForAWhile lets phones refuse a key with a temporary status: they are tried again.
func TestRefusedForAWhile(t *testing.T) {
	for _, tc := range []struct {
		status     int
		retryAfter string
		least      time.Duration // 0: it is not asked again
	}{
		{429, "", 4 * time.Second},
		{480, "", 4 * time.Second},
		{486, "", 4 * time.Second},
		{491, "", 4 * time.Second},
		{503, "", 4 * time.Second},
		{600, "", 4 * time.Second},
		{486, "2", 4 * time.Second}, // not before, but later is possible
		{404, "20", 20 * time.Second},
		{603, "20 (in a meeting);duration=3600", 20 * time.Second},
		{480, "1000000", time.Hour},
		{480, "99999999999999999999999", time.Hour},
		{480, "soon", 4 * time.Second},
		{488, "", 0},
		{403, "0", 0},
		{403, "-1", 0},
		{403, "", 0},
	} {
		inWorld(t, func(w *world) {
			w.set(alice, "A", 1)
			if tc.retryAfter != "" {
				w.challenge = "Retry-After: " + tc.retryAfter + "\r\n"
			}
			w.answer(func(message) (int, time.Duration) { return tc.status, 0 })
			w.register(registration{expires: 7200})
			w.expect("k=1 c=on l=A")
			if tc.least == 0 {
				w.state(alice, StateRefused)
				time.Sleep(time.Hour)
				w.expect()
				return
			}
			w.state(alice, StateRetrying)
			w.answer(nil)
			time.Sleep(tc.least - 3*time.Second)
			w.expect()
			time.Sleep(3*time.Second + tc.least/2)
			w.expect("k=1 c=on l=A")
			w.state(alice, StateCurrent)
		})
	}
}

// TestAnswered lets phones that seemed to have no keys answer another request.
func TestAnswered(t *testing.T) {
	const contact = "sip:101@192.0.2.7:5060;line=abc"
	for _, tc := range []struct {
		status    int
		keepAlive bool
		asked     bool
	}{{0, true, true}, {0, false, true}, {405, true, false}, {405, false, true}} {
		inWorld(t, func(w *world) {
			w.set(alice, "A", 1)
			w.answer(func(message) (int, time.Duration) { return tc.status, 0 })
			w.register(registration{expires: 7200})
			time.Sleep(time.Hour)
			w.state(alice, StateUnsupported)
			w.got()
			w.answer(nil)
			w.d.NotifyAnswered("102@example.com", contact, tc.keepAlive)
			w.d.NotifyAnswered(alice, "sip:other@192.0.2.7", tc.keepAlive)
			w.expect()
			w.d.NotifyAnswered(alice, contact, tc.keepAlive)
			if tc.asked {
				w.expect("k=1 c=on l=A")
			}
			w.d.NotifyAnswered(alice, contact, tc.keepAlive)
			w.expect()
		})
	}
	// One that was silent does not wait until it would be asked again.
	inWorld(t, func(w *world) {
		w.set(alice, "A", 1)
		w.register(registration{expires: 7200})
		w.expect("k=1 c=on l=A")
		w.answer(func(message) (int, time.Duration) { return 0, 0 })
		w.set(alice, "B", 1)
		time.Sleep(20 * time.Minute)
		for w.d.Status(alice)[0].State != StateRetrying {
			time.Sleep(time.Second)
		}
		w.answer(nil)
		w.mu.Lock()
		w.sent = nil // got would wait for the next message
		w.mu.Unlock()
		w.d.NotifyAnswered(alice, contact, true)
		w.expect("k=1 c=on l=B")
	})
}

// TestSilenceEndsWithANewStart restarts or moves a phone that never answered.
func TestSilenceEndsWithANewStart(t *testing.T) {
	for _, r := range []registration{{callID: "2"}, {source: "192.0.2.7:1024"}} {
		inWorld(t, func(w *world) {
			w.set(alice, "A", 1)
			w.answer(func(message) (int, time.Duration) { return 0, 0 })
			w.register(registration{expires: 7200})
			time.Sleep(time.Hour)
			w.state(alice, StateUnsupported)
			w.got()
			r.expires = 7200
			w.register(r)
			time.Sleep(time.Hour)
			if n := len(w.got()); n != maxSilence {
				t.Errorf("it is asked %d times, not %d", n, maxSilence)
			}
			w.state(alice, StateUnsupported)
		})
	}
}

// TestLog lets phones get into trouble and out of it: each is logged once.
func TestLog(t *testing.T) {
	inWorld(t, func(w *world) {
		w.set(alice, "A", 1, 2)
		w.register(registration{expires: 7200})
		w.got()
		w.expectLog()

		w.answer(func(message) (int, time.Duration) { return 0, 0 })
		w.set(alice, "B", 1)
		time.Sleep(time.Hour)
		w.expectLog("warn: a phone does not get its keys: it is asked again from time to time: 101@example.com the " +
			"phone did not answer")
		w.answer(nil)
		time.Sleep(10 * time.Minute)
		w.expectLog("info: a phone has all its keys again: 101@example.com")

		w.answer(func(m message) (int, time.Duration) {
			if strings.HasPrefix(m.body, "k=1\r") {
				return 404, 0
			}
			return 200, 0
		})
		w.set(alice, "C", 1)
		w.expectLog("warn: a phone refuses a key: it keeps what it shows: 101@example.com the phone answered 404")
		w.set(alice, "D", 1, 2)
		w.register(registration{callID: "2", expires: 7200})
		w.expectLog()
		w.answer(func(message) (int, time.Duration) { return 415, 0 })
		w.set(alice, "E", 1, 2)
		w.expectLog("warn: a phone does not know such keys, and gets none until it registers anew: 101@example.com " +
			"the phone answered 415")
		w.register(registration{callID: "3", expires: 7200})
		w.expectLog()
		// It goes, and is back under another Contact.
		w.register(registration{expires: gone})
		w.answer(nil)
		w.register(registration{contact: "sip:101@192.0.2.7:5060;line=other"})
		w.expectLog("info: a phone has all its keys again: 101@example.com")
		w.register(registration{contact: "sip:101@192.0.2.7:5060;line=other", expires: gone})
		w.register(registration{contact: "sip:101@192.0.2.7:5060;line=other"})
		w.expectLog()

		w.mu.Lock()
		w.broken = true
		w.mu.Unlock()
		w.set(alice, "F", 1, 2)
		w.expectLog("warn: the connection of a phone has gone: it gets its keys when it registers again")
	})
}

// TestLogOfSuperseded turns a phone off, and lets it come back with another Contact before the old
// one expires.
func TestLogOfSuperseded(t *testing.T) {
	inWorld(t, func(w *world) {
		w.set(alice, "A", 1)
		w.register(registration{expires: 7200, instance: "i"})
		w.got()
		w.answer(func(message) (int, time.Duration) { return 0, 0 })
		w.set(alice, "B", 1)
		time.Sleep(10 * time.Minute)
		w.expectLog("warn: a phone does not get its keys")
		w.answer(nil)
		w.register(registration{expires: 3600, callID: "2", instance: "i", contact: "sip:101@192.0.2.7:5061",
			source: "192.0.2.7:5061"})
		w.expectLog("info: a phone has all its keys again")
		time.Sleep(3 * time.Hour)
		w.register(registration{callID: "3", instance: "i", contact: "sip:101@192.0.2.7:5062",
			source: "192.0.2.7:5062"})
		w.expectLog()
	})
}

// TestLogIsBounded lets all phones of a building fail at once.
func TestLogIsBounded(t *testing.T) {
	inWorld(t, func(w *world) {
		w.d.Configure(Settings{Rate: 1000})
		w.many(500, 1)
		time.Sleep(10 * time.Second)
		w.answer(func(message) (int, time.Duration) { return 503, 0 })
		for i := range 500 {
			w.set(fmt.Sprintf("%d@example.com", i), "B", 1)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		all := w.logs.TakeAll()
		if n := len(all); n < noteBurst || n > noteBurst+15 {
			t.Errorf("%d entries are logged", n)
		}
		w.answer(nil)
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		all = slices.Concat(all, w.logs.TakeAll())
		total := uint64(len(all))
		for _, e := range all {
			if n, ok := e.ContextMap()["suppressed"].(uint64); ok {
				total += n
			}
		}
		if total < 500 || total > 1000 {
			t.Errorf("%d entries are accounted for", total)
		}
	})
}
