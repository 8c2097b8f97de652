package delivery

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const alice = "101@example.com"

func TestRegistration(t *testing.T) {
	inWorld(t, func(w *world) {
		w.set(alice, "A", 1, 12)
		w.set(alice, "B", 2)
		w.expect() // nobody is there
		w.register(registration{})
		w.expect("k=1 c=on l=A", "k=2 c=on l=B", "k=12 c=on l=A")
		w.state(alice, StateCurrent)

		// A refresh brings nothing, however often.
		for range 20 {
			time.Sleep(10 * time.Minute)
			w.register(registration{})
		}
		w.expect()
		// Nor does another source port: what the phone shows, it shows.
		w.register(registration{source: "192.0.2.7:1024"})
		w.expect()

		// A change brings what has changed.
		w.set(alice, "C", 2)
		w.expect("k=2 c=on l=C")
		w.set(alice, "C", 2)
		w.expect()

		// A phone that has started anew gets everything.
		w.register(registration{callID: "2"})
		w.expect("k=1 c=on l=A", "k=2 c=on l=C", "k=12 c=on l=A")
		w.register(registration{callID: "3", contact: "sip:101@192.0.2.7:5060;line=abcd"})
		w.expect("k=1 c=on l=A", "k=2 c=on l=C", "k=12 c=on l=A")
		// One that only goes on with another Contact has it all.
		w.register(registration{callID: "3", contact: "sip:101@192.0.2.7:5060;line=def"})
		w.expect()
		w.state(alice, StateCurrent)
		w.set(alice, "D", 2)
		w.expect("k=2 c=on l=D")
		w.set(alice, "C", 2)
		w.expect("k=2 c=on l=C")
		// Also when it was away, and comes back as it was.
		w.register(registration{callID: "3", contact: "sip:101@192.0.2.7:5060;line=def", expires: gone})
		w.expect()
		w.register(registration{callID: "3", contact: "sip:101@192.0.2.7:5060;line=def"})
		w.expect("k=1 c=on l=A", "k=2 c=on l=C", "k=12 c=on l=A")
		time.Sleep(2 * time.Hour) // it expires
		w.register(registration{callID: "3", contact: "sip:101@192.0.2.7:5060;line=def"})
		w.expect("k=1 c=on l=A", "k=2 c=on l=C", "k=12 c=on l=A")
	})
}

// TestSuperseded checks that nothing is sent to a superseded Contact, and nothing again that the
// phone has.
func TestSuperseded(t *testing.T) {
	inWorld(t, func(w *world) {
		w.set(alice, "A", 1, 2)
		before := registration{callID: "1", instance: "i"}
		after := registration{callID: "2", instance: "i", contact: "sip:101@192.0.2.7:5061;line=def",
			source: "192.0.2.7:5061"}
		w.register(before)
		w.expect("k=1 c=on l=A", "k=2 c=on l=A")
		w.register(after)
		w.expect("k=1 c=on l=A", "k=2 c=on l=A") // it has been restarted
		if all := w.d.Status(alice); len(all) != 1 || all[0].Contact != after.contact {
			t.Errorf("the phones are %+v", all)
		}
		w.set(alice, "B", 2)
		time.Sleep(time.Hour / 2)
		w.expect("k=2 c=on l=B")
		w.state(alice, StateCurrent)

		// Both are there.
		w.register(before)
		w.expect("k=2 c=on l=B")
		w.register(after)
		w.expect()
		if all := w.d.Status(alice); len(all) != 2 || all[0].State != StateCurrent || all[1].State != StateCurrent {
			t.Errorf("the phones are %+v", all)
		}
	})
}

// TestMovedUnanswered moves a phone while a message to it is unanswered: the key is sent to the new
// address at once, and the outcome of the first message does not matter.
func TestMovedUnanswered(t *testing.T) {
	for _, late := range []int{0, 200, 503} {
		inWorld(t, func(w *world) {
			w.set(alice, "A", 1)
			f := w.register(registration{})
			w.expect("k=1 c=on l=A")
			w.answer(func(message) (int, time.Duration) { return late, 20 * time.Second })
			w.set(alice, "B", 1)
			w.expect("k=1 c=on l=B")
			w.answer(nil)
			w.mu.Lock()
			f.inFlight = 0 // that message never gets there
			w.mu.Unlock()
			w.register(registration{source: "192.0.2.7:1024"})
			w.expect("k=1 c=on l=B")
			w.state(alice, StateCurrent)
			w.set(alice, "C", 1)
			w.expect("k=1 c=on l=C")
			time.Sleep(time.Hour / 2)
			w.expect()
			w.state(alice, StateCurrent)
			w.d.mu.Lock()
			if w.d.slots != 0 || w.d.pending != 0 || len(w.d.retries) != 0 {
				t.Errorf("%d %d %d are left", w.d.slots, w.d.pending, len(w.d.retries))
			}
			w.d.mu.Unlock()
		})
	}
}

// TestSupersededUnanswered checks that an unanswered message to a superseded Contact is given up.
func TestSupersededUnanswered(t *testing.T) {
	inWorld(t, func(w *world) {
		w.answer(func(m message) (int, time.Duration) {
			if m.contact == "sip:101@192.0.2.7:5060;line=abc" {
				return 0, 0
			}
			return 200, 0
		})
		w.set(alice, "A", 1)
		w.register(registration{callID: "1", instance: "i"})
		time.Sleep(10 * time.Second)
		w.register(registration{callID: "2", instance: "i", contact: "sip:101@192.0.2.7:5061;line=def",
			source: "192.0.2.7:5061"})
		w.expect("k=1 c=on l=A", "k=1 c=on l=A")
		time.Sleep(50 * time.Minute)
		w.expect()
		w.d.mu.Lock()
		defer w.d.mu.Unlock()
		if w.d.slots != 0 || w.d.pending != 0 || len(w.d.retries) != 0 {
			t.Errorf("%d %d %d are left", w.d.slots, w.d.pending, len(w.d.retries))
		}
	})
}

func TestMessage(t *testing.T) {
	inWorld(t, func(w *world) {
		w.set("a b@example.com", "T\u00fcr", 3)
		w.register(registration{aor: "a b@example.com", contact: "sip:x@192.0.2.7:5060;line=abc;transport=udp?Subject=no"})
		w.mu.Lock()
		w.phones["sip:x@192.0.2.7:5060;line=abc;transport=udp"] = w.phones["sip:x@192.0.2.7:5060;line=abc;transport=udp?Subject=no"]
		w.mu.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		if len(w.sent) != 1 {
			t.Fatalf("sent %d", len(w.sent))
		}
		text := w.sent[0].text
		for _, part := range []string{
			"MESSAGE sip:x@192.0.2.7:5060;line=abc;transport=udp SIP/2.0\r\n", "\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK", "\r\nFrom: <sip:server@example.com>;tag=",
			"\r\nTo: <sip:a%20b@example.com>\r\n", "\r\nContent-Type: application/x-buttons\r\nContent-Length: 17\r\n\r\nk=3\r\nc=on\r\nl=T\u00fcr",
		} {
			if !strings.Contains(text, part) {
				t.Errorf("%q is not in:\n%s", part, text)
			}
		}
	})
}

func TestNewestWins(t *testing.T) {
	inWorld(t, func(w *world) {
		w.set(alice, "#1", 1, 2)
		w.register(registration{})
		w.expect("k=1 c=on l=#1", "k=2 c=on l=#1")
		w.answer(func(message) (int, time.Duration) { return 200, 10 * time.Second })
		w.set(alice, "#2", 1)
		time.Sleep(time.Second)
		for i := range 5 {
			w.set(alice, fmt.Sprint("#", i+3), 1)
		}
		w.state(alice, StateSending)
		time.Sleep(30 * time.Second)
		w.expect("k=1 c=on l=#2", "k=1 c=on l=#7")
		// And nothing when it is what the phone has by then.
		w.set(alice, "#8", 1)
		w.set(alice, "#7", 1)
		w.expect()
	})
}

func TestLetGo(t *testing.T) {
	inWorld(t, func(w *world) {
		w.set(alice, "A", 1, 2)
		w.register(registration{})
		w.expect("k=1 c=on l=A", "k=2 c=on l=A")
		w.set(alice, "", 2)
		w.expect("k=2 c=off")
		w.set(alice, "", 1)
		w.expect("k=1 c=off")
		if len(w.d.users) != 0 {
			t.Errorf("something is left of a phone that shows nothing: %v", w.d.users)
		}
		w.register(registration{callID: "2"})
		w.expect()
	})
}

func TestLetGoWhileAway(t *testing.T) {
	inWorld(t, func(w *world) {
		w.set(alice, "A", 1, 2)
		w.register(registration{})
		w.expect("k=1 c=on l=A", "k=2 c=on l=A")
		w.register(registration{expires: gone})
		w.set(alice, "", 2)
		w.expect()
		w.register(registration{callID: "2", contact: "sip:101@192.0.2.7:5060;line=other"})
		w.expect("k=1 c=on l=A", "k=2 c=off")
	})
}

// A phone that is off keeps its old Contact until that expires, and is back with another one.
func TestLetGoWhileOff(t *testing.T) {
	inWorld(t, func(w *world) {
		w.set(alice, "A", 1, 2)
		w.register(registration{})
		w.expect("k=1 c=on l=A", "k=2 c=on l=A")
		w.answer(func(m message) (int, time.Duration) {
			if strings.HasSuffix(m.contact, "abc") {
				return 0, 0
			}
			return 200, 0
		})
		w.set(alice, "", 2)
		time.Sleep(time.Minute)
		w.got()
		w.register(registration{callID: "2", contact: "sip:101@192.0.2.7:5060;line=other"})
		if got := w.got(); !slices.Equal(got, []string{"k=1 c=on l=A", "k=2 c=off"}) {
			t.Errorf("sent %q", got)
		}
	})
}

func TestOtherPhones(t *testing.T) {
	inWorld(t, func(w *world) {
		w.set(alice, "A", 1)
		for i, agent := range []string{"Yealink SIP-T46S 66.84", " ", "not snom370/8", "Linphone"} {
			w.register(registration{contact: fmt.Sprintf("sip:%d@192.0.2.8", i), userAgent: agent})
		}
		w.expect()
		w.set(alice, "B", 1)
		w.d.Push(alice)
		w.expect()
		for _, s := range w.d.Status(alice) {
			if s.State != StateOther || s.UserAgent == snom370 || len(s.Keys) != 0 {
				t.Errorf("%+v", s)
			}
		}
		// One that turns out to be a Snom phone, and one that was.
		w.register(registration{contact: "sip:0@192.0.2.8", userAgent: snom370})
		w.expect("k=1 c=on l=B")
		w.register(registration{contact: "sip:0@192.0.2.8", userAgent: "other"})
		w.set(alice, "C", 1)
		w.expect()
	})
}

func TestUnsupported(t *testing.T) {
	for _, status := range []int{405, 415, 501} {
		inWorld(t, func(w *world) {
			w.set(alice, "A", 1, 2, 3)
			w.answer(func(message) (int, time.Duration) { return status, 0 })
			w.register(registration{})
			w.expect("k=1 c=on l=A")
			w.state(alice, StateUnsupported)
			w.set(alice, "B", 1)
			w.register(registration{})
			time.Sleep(time.Hour / 2)
			w.expect()
			// One that has started anew is asked once more.
			w.register(registration{callID: "2"})
			time.Sleep(time.Hour / 2)
			w.expect("k=1 c=on l=B")
			w.state(alice, StateUnsupported)
			w.restart()
			w.expect()
			// Whoever asks for it gets it, and a phone with new firmware may know better.
			w.d.Push(alice)
			w.expect("k=1 c=on l=B")
			w.answer(nil)
			w.register(registration{callID: "2", userAgent: "snom370/8.7.5.49"})
			w.expect("k=1 c=on l=B", "k=2 c=on l=A", "k=3 c=on l=A")
			w.state(alice, StateCurrent)
		})
	}
}

func TestSilence(t *testing.T) {
	inWorld(t, func(w *world) {
		w.set(alice, "A", 1)
		w.answer(func(message) (int, time.Duration) { return 0, 0 })
		w.register(registration{expires: 7200})
		time.Sleep(time.Minute)
		w.state(alice, StateSending)
		time.Sleep(time.Hour)
		w.expect("k=1 c=on l=A", "k=1 c=on l=A", "k=1 c=on l=A")
		w.state(alice, StateUnsupported)

		// A new Contact is another phone.
		w.register(registration{callID: "2", contact: "sip:101@192.0.2.9", expires: 7200})
		w.expect("k=1 c=on l=A")
	})
}

// A phone that has such keys is asked again for as long as it is registered.
func TestSilenceOfKnown(t *testing.T) {
	inWorld(t, func(w *world) {
		w.set(alice, "A", 1)
		w.register(registration{expires: 7200})
		w.expect("k=1 c=on l=A")
		w.answer(func(message) (int, time.Duration) { return 0, 0 })
		w.set(alice, "B", 1)
		time.Sleep(time.Hour)
		if n := len(w.got()); n < 10 || n > 20 {
			t.Errorf("asked %d times in an hour", n)
		}
		w.answer(nil)
		time.Sleep(7 * time.Minute)
		w.expect("k=1 c=on l=B")
		w.state(alice, StateCurrent)
	})
}

func TestRefused(t *testing.T) {
	for _, status := range []int{401, 404, 407, 481, 603} {
		inWorld(t, func(w *world) {
			w.set(alice, "A", 1, 2)
			w.answer(func(m message) (int, time.Duration) {
				if strings.HasPrefix(m.body, "k=1\r") {
					return status, 0
				}
				return 200, 0
			})
			w.register(registration{})
			w.expect("k=1 c=on l=A", "k=2 c=on l=A")
			w.state(alice, StateRefused)
			time.Sleep(time.Hour / 2)
			w.register(registration{})
			w.set(alice, "B", 2)
			w.expect("k=2 c=on l=B")
			s := w.d.Status(alice)[0].Keys
			if len(s) != 2 || s[0].Acknowledged || s[0].Status != status || s[0].Error == "" || !s[1].Acknowledged || s[1].Error != "" {
				t.Errorf("%+v", s)
			}
			w.restart()
			w.expect()
			w.set(alice, "C", 1)
			w.expect("k=1 c=on l=C")
			w.d.Push(alice)
			w.expect("k=1 c=on l=C", "k=2 c=on l=B")
			if !slices.Contains(w.events, fmt.Sprint("key_failed 101@example.com 1 ", status)) || !slices.Contains(w.events, "key_acknowledged 101@example.com 2 200") {
				t.Errorf("events: %q", w.events)
			}
		})
	}
}

// TestBackoff asks a phone that fails again, as soon as chance may have it, as late, and in
// between.
func TestBackoff(t *testing.T) {
	defer func(before func(time.Duration) time.Duration) { Jitter = before }(Jitter)
	for i, status := range []int{408, 486, 503} {
		Jitter = func(d time.Duration) time.Duration { return min(d*time.Duration(i)/2, d-1) }
		inWorld(t, func(w *world) {
			w.set(alice, "A", 1)
			w.register(registration{expires: 7200})
			w.expect("k=1 c=on l=A")
			w.answer(func(message) (int, time.Duration) { return status, 0 })
			w.set(alice, "B", 1)
			time.Sleep(time.Hour)
			synctest.Wait()
			if n := len(w.sent); n < 14 || n > 22 {
				t.Errorf("asked %d times in an hour", n)
			}
			want := 5 * time.Second
			for j := 1; j < len(w.sent); j++ {
				after, exact := w.sent[j].at.Sub(w.sent[j-1].at), want*time.Duration(4+i)/5
				if after < exact-time.Millisecond || after > exact+20*time.Millisecond {
					t.Errorf("%d: the next message after %v, not %v", j, after, exact)
				}
				want = min(2*want, 5*time.Minute)
			}
			w.sent = nil
			w.state(alice, StateRetrying)
			// A change doesn't hurry the phone, a new registration does.
			w.set(alice, "C", 1)
			w.expect()
			w.answer(nil)
			w.register(registration{expires: 7200, callID: "2"})
			w.expect("k=1 c=on l=C")
			// One that is not registered any more is not asked.
			w.answer(func(message) (int, time.Duration) { return status, 0 })
			w.set(alice, "D", 1)
			w.expect("k=1 c=on l=D")
			w.register(registration{expires: gone})
			time.Sleep(time.Hour)
			w.expect()
		})
	}
}

// TestJitter sees that phones that failed together are not asked together.
func TestJitter(t *testing.T) {
	seen := make(map[time.Duration]bool)
	for range 1000 {
		d := backoff(3)
		if d < 16*time.Second || d >= 24*time.Second {
			t.Fatalf("asked again after %v", d)
		}
		seen[d/time.Second] = true
	}
	if len(seen) != 8 {
		t.Errorf("asked again in %d of 8 seconds", len(seen))
	}
}

// TestSilenceOfNewFirmware gives a phone a firmware that may answer, before it is taken to have no
// keys: it is asked as often as any that is new.
func TestSilenceOfNewFirmware(t *testing.T) {
	inWorld(t, func(w *world) {
		w.set(alice, "A", 1)
		w.answer(func(message) (int, time.Duration) { return 0, 0 })
		w.register(registration{expires: 7200})
		time.Sleep(74 * time.Second) // two are not answered, and the third has not been sent
		if n := len(w.got()); n != 2 {
			t.Fatalf("%d messages are sent", n)
		}
		w.register(registration{expires: 7200, userAgent: "snom370/9.1"})
		time.Sleep(time.Hour)
		if n := len(w.got()); n != maxSilence {
			t.Errorf("the new firmware is asked %d times, not %d", n, maxSilence)
		}
		w.state(alice, StateUnsupported)
	})
}

// TestLeftBehind has a phone be away for nearly as long as is remembered what it showed, and for
// longer.
func TestLeftBehind(t *testing.T) {
	for away, want := range map[time.Duration][]string{
		leftoverTime - 2*time.Hour: {"k=1 c=on l=A", "k=2 c=off"},
		leftoverTime:               {"k=1 c=on l=A"},
	} {
		inWorld(t, func(w *world) {
			w.set(alice, "A", 1, 2)
			w.register(registration{})
			w.expect("k=1 c=on l=A", "k=2 c=on l=A")
			w.register(registration{expires: gone})
			w.set(alice, "", 2)
			w.expect()
			w.d.mu.Lock()
			for i := range w.d.users[alice].leftovers {
				w.d.users[alice].leftovers[i].at -= uint32(away.Seconds())
			}
			w.d.mu.Unlock()
			time.Sleep(cleanInterval + time.Minute)
			w.register(registration{callID: "2", contact: "sip:101@192.0.2.7:5060;line=other"})
			w.expect(want...)
		})
	}
}

// A phone that registers anew while a message is on its way gets it all again, after that.
func TestRegistersInFlight(t *testing.T) {
	inWorld(t, func(w *world) {
		w.set(alice, "A", 1, 2)
		w.answer(func(message) (int, time.Duration) { return 200, 5 * time.Second })
		w.register(registration{})
		w.expect("k=1 c=on l=A")
		w.register(registration{callID: "2"})
		w.expect()
		time.Sleep(20 * time.Second)
		w.expect("k=1 c=on l=A", "k=2 c=on l=A")
		// Away and back, all while one is on its way.
		w.set(alice, "B", 1)
		w.expect("k=1 c=on l=B")
		w.register(registration{callID: "2", expires: gone})
		w.expect()
		w.register(registration{callID: "2"})
		w.expect()
		time.Sleep(20 * time.Second)
		w.expect("k=1 c=on l=B", "k=2 c=on l=A")
		// And only away.
		w.set(alice, "C", 1)
		w.expect("k=1 c=on l=C")
		w.register(registration{callID: "2", expires: gone})
		time.Sleep(20 * time.Second)
		w.expect()
		if u := w.d.users[alice]; len(u.phones) != 0 || len(u.leftovers) != 1 || len(u.leftovers[0].keys) != 2 {
			t.Errorf("%+v", u)
		}
	})
}

func TestRestart(t *testing.T) {
	inWorld(t, func(w *world) {
		bob := "102@example.com"
		for _, aor := range []string{alice, bob} {
			w.set(aor, "A", 1, 2)
		}
		w.register(registration{})
		w.register(registration{aor: bob, contact: "sip:102@192.0.2.8"})
		if n := len(w.got()); n != 4 {
			t.Fatalf("sent %d", n)
		}
		w.restart()
		w.expect() // they were up to date
		if s := w.d.Status(bob)[0]; s.State != StateCurrent || !s.Keys[0].Acknowledged || s.Keys[0].At.IsZero() {
			t.Errorf("%+v", s)
		}
		// What changes while the server is down is sent once.
		w.d.Close()
		w.keys[alice][2] = "B"
		w.start()
		w.expect("k=2 c=on l=B")
		// A phone that registers anew while it is down gets everything.
		w.d.Close()
		w.d = New(w.d.options) // not in use
		w.register(registration{aor: bob, contact: "sip:102@192.0.2.8", callID: "2"})
		w.d.Close()
		w.start()
		w.expect("k=1 c=on l=A", "k=2 c=on l=A")
		// The same storage again changes nothing, another one gets everything.
		w.d.Use(w.kept)
		w.expect()
		other := memory{w.kept.(memory).Engine}
		w.d.Use(&other)
		w.expect()
	})
}

func TestUnreachable(t *testing.T) {
	inWorld(t, func(w *world) {
		w.set(alice, "A", 1)
		w.broken = true
		w.register(registration{})
		time.Sleep(10 * time.Minute)
		w.expect()
		w.state(alice, StateUnreachable)
		if s := w.d.Status(alice)[0].Keys[0]; s.Acknowledged || s.Error == "" {
			t.Errorf("%+v", s)
		}
		w.mu.Lock()
		w.broken = false
		w.mu.Unlock()
		w.register(registration{source: "192.0.2.7:1024"})
		w.expect("k=1 c=on l=A")
	})
}
