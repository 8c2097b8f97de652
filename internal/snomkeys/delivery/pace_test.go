package delivery

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// many registers n users with keys, all at once.
func (w *world) many(n int, keys ...int) {
	for i := range n {
		w.set(fmt.Sprintf("%d@example.com", i), "A", keys...)
	}
	synctest.Wait()
	for i := range n {
		aor := fmt.Sprintf("%d@example.com", i)
		w.register(registration{aor: aor, contact: fmt.Sprintf("sip:%d@192.0.2.7", i)})
	}
}

func TestPace(t *testing.T) {
	inWorld(t, func(w *world) {
		const rate, phones, keys = 100, 300, 3
		w.d.Configure(Settings{Rate: rate})
		w.many(phones, 1, 2, 3)
		start := time.Now()
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(w.sent) != phones*keys {
			t.Fatalf("sent %d", len(w.sent))
		}
		if took := w.sent[len(w.sent)-1].at.Sub(start); took < 8*time.Second || took > 10*time.Second {
			t.Errorf("%d messages took %v", len(w.sent), took)
		}
		for i := range w.sent {
			n := 0
			for _, m := range w.sent[i:] {
				if m.at.Sub(w.sent[i].at) >= time.Second {
					break
				}
				n++
			}
			if n > rate+rate/20+1 {
				t.Fatalf("%d messages in a second from the %dth on", n, i)
			}
		}
		// Each gets his first key before anybody gets his third, but for those who were the first
		// to come.
		served := make(map[string]int)
		early := 0
		for _, m := range w.sent {
			served[m.contact]++
			if served[m.contact] == keys && len(served) < phones {
				early++
			}
		}
		if early > 5 {
			t.Errorf("%d phones have all their keys before others have one", early)
		}
		w.sent = nil
		w.restart()
		w.expect()
	})
}

// A change doesn't wait for all those who have just come back.
func TestUrgent(t *testing.T) {
	inWorld(t, func(w *world) {
		w.d.Configure(Settings{Rate: 100})
		w.set(alice, "A", 1)
		w.register(registration{})
		w.got()
		w.many(2000, 1, 2, 3)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		w.sent = nil
		w.set(alice, "B", 1)
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		if !slices.ContainsFunc(w.sent, func(m message) bool { return strings.HasSuffix(m.body, "l=B") }) {
			t.Error("a change waits behind those who have come back")
		}
		// And they don't wait for ever when there are always changes.
		w.sent = nil
		for i := range 100 {
			w.set("500@example.com", fmt.Sprint("#", i), 1)
			w.set("501@example.com", fmt.Sprint("#", i), 1)
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait()
		others := 0
		for _, m := range w.sent {
			if !strings.Contains(m.contact, ":50") {
				others++
			}
		}
		if others < 20 {
			t.Errorf("%d messages of %d for those who have come back", others, len(w.sent))
		}
	})
}

// Phones that are dead don't hold up the others.
func TestDead(t *testing.T) {
	inWorld(t, func(w *world) {
		w.answer(func(m message) (int, time.Duration) {
			var n int
			if _, err := fmt.Sscanf(m.contact, "sip:%d@", &n); err != nil {
				t.Error(err)
			}
			if n%4 != 0 {
				return 0, 0
			}
			return 200, 10 * time.Millisecond
		})
		w.many(3000, 1)
		start := time.Now()
		for alive := 0; alive < 750; {
			time.Sleep(time.Second)
			synctest.Wait()
			w.mu.Lock()
			alive = w.count["acknowledged"]
			w.mu.Unlock()
			if time.Since(start) > 2*time.Minute {
				t.Fatalf("%d phones have their keys after %v", alive, time.Since(start))
			}
		}
		time.Sleep(time.Hour / 2)
		synctest.Wait()
		if n := w.count["timeout"]; n != 3*(3000-750) {
			t.Errorf("%d messages to dead phones were not answered", n)
		}
		if w.d.slots != 0 || w.d.pending != 0 || len(w.d.retries) != 0 {
			t.Errorf("%d %d %d are left", w.d.slots, w.d.pending, len(w.d.retries))
		}
	})
}

// TestSilentSlowNobody has thousands of phones that never answer, or no longer do: a key of a phone
// that does answer is still there at once.
func TestSilentSlowNobody(t *testing.T) {
	for _, known := range []bool{false, true} {
		inWorld(t, func(w *world) {
			const aor, contact = "lamp@example.com", "sip:lamp@192.0.2.9"
			dead := false
			w.answer(func(m message) (int, time.Duration) {
				if m.contact == contact || !dead {
					return 200, 10 * time.Millisecond
				}
				return 0, 0
			})
			w.set(aor, "A", 1)
			w.register(registration{aor: aor, contact: contact})
			time.Sleep(time.Second)
			if !known {
				dead = true
			}
			w.many(3000, 1)
			if known {
				time.Sleep(time.Minute)
				dead = true
				for i := range 3000 {
					w.set(fmt.Sprintf("%d@example.com", i), "B", 1)
				}
				time.Sleep(time.Minute) // that many changes take their time
			}
			for i := range 120 {
				label := fmt.Sprint("C", i)
				w.set(aor, label, 1)
				time.Sleep(100 * time.Millisecond)
				synctest.Wait()
				w.mu.Lock()
				shown := w.phones[contact].shows["k=1"]
				w.mu.Unlock()
				if !strings.Contains(shown, label) {
					t.Fatalf("known: %v; after %d seconds the lamp shows %q, not %s", known, i, shown, label)
				}
				time.Sleep(900 * time.Millisecond)
			}
		})
	}
}

// Whatever happens, in the end each phone shows what it should.
func TestAnything(t *testing.T) {
	for seed := range uint64(30) {
		inWorld(t, func(w *world) {
			r, phones := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 2))
			w.d.Configure(Settings{Batch: seed%3 == 0, Rate: 1 + r.IntN(100)})
			w.answer(func(message) (int, time.Duration) {
				return []int{200, 200, 200, 200, 200, 503, 500, 408, 404, 0}[phones.IntN(10)], time.Duration(phones.IntN(20)) * time.Second
			})
			aors := []string{"1@example.com", "2@example.com", "3@example.com"}
			n := 0
			for range 300 {
				n++
				aor := aors[r.IntN(len(aors))]
				i := fmt.Sprint(r.IntN(2))
				phone := registration{aor: aor, contact: "sip:" + aor + ":507" + i, callID: i + fmt.Sprint(r.IntN(2))}
				phone.source = sourceOf(phone.contact)
				switch r.IntN(10) {
				case 0, 1, 2:
					w.set(aor, fmt.Sprint("#", n), 1+r.IntN(4))
				case 3:
					w.set(aor, "", 1+r.IntN(4))
				case 4, 5, 6:
					w.register(phone)
				case 7:
					phone.expires = gone
					w.register(phone)
				case 8:
					w.restart()
					w.d.Configure(Settings{Batch: seed%3 == 0, Rate: 1 + r.IntN(100)})
				case 9:
					w.d.Push(aor)
				}
				time.Sleep(time.Duration(r.IntN(5000)) * time.Millisecond)
			}
			w.answer(nil)
			for _, aor := range aors {
				w.register(registration{aor: aor, contact: "sip:" + aor + ":5070", callID: "last", expires: 7200,
					source: sourceOf("sip:" + aor + ":5070")})
				w.d.Push(aor) // what they refused
			}
			time.Sleep(time.Hour / 2)
			synctest.Wait()
			for _, aor := range aors {
				f := w.phones["sip:"+aor+":5070"]
				shown := make(map[string]string)
				for key, doc := range f.shows {
					if doc != "c=off" {
						shown[key] = doc
					}
				}
				want := make(map[string]string)
				for key, label := range w.keys[aor] {
					want[fmt.Sprint("k=", key)] = "c=on\r\nl=" + label
				}
				if fmt.Sprint(shown) != fmt.Sprint(want) {
					t.Errorf("seed %d: %s shows %q, not %q", seed, aor, shown, want)
				}
				for _, s := range w.d.Status(aor) {
					if strings.Contains(s.Contact, "5070") && s.State != StateCurrent {
						t.Errorf("seed %d: %+v", seed, s)
					}
				}
			}
		})
	}
}
