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

const bob = "102@example.com"

// onDesk are registrations at the same telephone.
func onDesk(aor, line string) registration {
	user, _, _ := strings.Cut(aor, "@")
	return registration{aor: aor, contact: "sip:" + user + "@192.0.2.7:5060;line=" + line, callID: line,
		source: "192.0.2.7:5060", expires: 7200}
}

// TestOrder changes a key while a phone gets all the others.
func TestOrder(t *testing.T) {
	inWorld(t, func(w *world) {
		w.set(alice, "A", 1, 2, 3, 4, 5)
		time.Sleep(time.Second)
		w.answer(func(message) (int, time.Duration) { return 200, time.Second })
		w.register(registration{})
		time.Sleep(1500 * time.Millisecond)
		w.set(alice, "door", 20)
		time.Sleep(time.Second)
		w.set(alice, "lift", 30, 31)
		w.set(alice, "B", 5)
		time.Sleep(20 * time.Second)
		w.expect("k=1 c=on l=A", "k=2 c=on l=A", "k=20 c=on l=door", "k=5 c=on l=B", "k=30 c=on l=lift",
			"k=31 c=on l=lift", "k=3 c=on l=A", "k=4 c=on l=A")
		// When it starts anew nothing has just changed.
		w.register(registration{callID: "2"})
		time.Sleep(20 * time.Second)
		w.expect("k=1 c=on l=A", "k=2 c=on l=A", "k=3 c=on l=A", "k=4 c=on l=A", "k=5 c=on l=B", "k=20 c=on l=door",
			"k=30 c=on l=lift", "k=31 c=on l=lift")
		// What is taken away goes first as well.
		w.register(registration{callID: "3"})
		time.Sleep(1500 * time.Millisecond)
		w.set(alice, "", 31)
		time.Sleep(20 * time.Second)
		if got := w.got(); len(got) != 8 || got[2] != "k=31 c=off" {
			t.Errorf("sent %q", got)
		}
	})
}

// TestRecentIsBounded changes many keys at once: those that changed before still go first.
func TestRecentIsBounded(t *testing.T) {
	if got := addRecent([]uint16{1, 2, 3, 4, 5, 6, 7, 8, 9}, []uint16{20}); len(got) != maxRecent || got[0] != 1 ||
		got[7] != 8 {
		t.Errorf("%v", got)
	}
	if got := addRecent([]uint16{5, 5, 6}, []uint16{20, 6, 7}); !slices.Equal(got, []uint16{5, 6, 20, 7}) {
		t.Errorf("%v", got)
	}
	if got := addRecent(nil, []uint16{1}); !slices.Equal(got, []uint16{1}) {
		t.Errorf("%v", got)
	}
}

// TestOffOnce removes the keys of a phone that was away: each is put out once.
func TestOffOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		w.set(alice, "A", 1, 2, 3)
		w.register(registration{})
		w.register(registration{contact: "sip:101@192.0.2.9", source: "192.0.2.9:5060"})
		w.got()
		w.register(registration{expires: gone})
		w.got()
		w.register(registration{callID: "2"})
		w.expect("k=1 c=on l=A", "k=2 c=on l=A", "k=3 c=on l=A")
		w.set(alice, "", 1, 2, 3)
		if got := w.got(); len(got) != 6 {
			t.Errorf("sent %q", got)
		}
		for _, label := range []string{"B", "", "C", ""} {
			w.set(alice, label, 20)
			if got := w.got(); len(got) != 2 {
				t.Errorf("sent %q", got)
			}
		}
	})
}

// TestHotDesk logs one user off a telephone and another one on.
func TestHotDesk(t *testing.T) {
	for _, instance := range []string{"", "<urn:uuid:1>"} {
		for _, restart := range []bool{false, true} {
			inWorld(t, func(w *world) {
				first, second := onDesk(alice, "a"), onDesk(bob, "b")
				first.instance, second.instance = instance, instance
				if instance != "" {
					second.source = "192.0.2.7:1024"
				}
				w.set(alice, "A", 1, 5)
				w.set(bob, "B", 1)
				w.register(first)
				w.expect("k=1 c=on l=A", "k=5 c=on l=A")
				first.expires = gone
				w.register(first)
				w.expect()
				if restart {
					time.Sleep(time.Minute)
					w.restart()
				}
				w.register(second)
				w.expect("k=1 c=on l=B", "k=5 c=off")
				w.state(bob, StateCurrent)
				// Neither his next phone nor hers has anything to do with it.
				first.expires, first.source, first.instance, first.contact = 7200, "192.0.2.8:5060", "",
					"sip:101@192.0.2.8:5060"
				w.set(alice, "", 5)
				w.register(first)
				w.expect("k=1 c=on l=A")
				w.set(bob, "C", 1)
				w.expect("k=1 c=on l=C")
			})
		}
	}
}

// TestHotDeskWithoutKeys logs on a user without keys: he sees none of the other user's.
func TestHotDeskWithoutKeys(t *testing.T) {
	inWorld(t, func(w *world) {
		w.set(alice, "A", 1, 5)
		first := onDesk(alice, "a")
		w.register(first)
		w.got()
		first.expires = gone
		w.register(first)
		w.expect()
		w.register(onDesk(bob, "b"))
		w.expect("k=1 c=off", "k=5 c=off")
		w.d.mu.Lock()
		defer w.d.mu.Unlock()
		if len(w.d.users)+len(w.d.devices)+len(w.d.leftovers) != 0 || w.budget.Total() != 0 {
			t.Errorf("left are %v, %v, %v, %s", w.d.users, w.d.devices, w.d.leftovers, w.budget.String())
		}
	})
}

// TestLogOnWithoutLogOff logs on a user where another one has not logged off.
func TestLogOnWithoutLogOff(t *testing.T) {
	inWorld(t, func(w *world) {
		w.set(alice, "A", 1, 5)
		w.set(bob, "B", 1)
		first := onDesk(alice, "a")
		w.register(first)
		w.expect("k=1 c=on l=A", "k=5 c=on l=A")
		time.Sleep(10 * time.Minute)
		w.register(onDesk(bob, "b"))
		w.expect("k=1 c=on l=B", "k=5 c=off")
		w.state(alice, StateOverwritten)
		w.state(bob, StateCurrent)
		if k := w.d.Status(alice)[0].Keys[0]; k.Acknowledged || !strings.Contains(k.Error,
			"another user has logged on") {
			t.Errorf("%+v", k)
		}
		w.set(alice, "C", 5)
		time.Sleep(5 * time.Minute)
		w.restart()
		w.expect()
		// It was no hot desk after all: she registers again, and both are there.
		w.register(first)
		time.Sleep(2 * time.Minute)
		w.expect("k=1 c=on l=A", "k=5 c=on l=C")
		w.state(alice, StateCurrent)
		w.state(bob, StateOverwritten)
	})
	// Or she calls, which is as good.
	inWorld(t, func(w *world) {
		w.set(alice, "A", 1)
		first := onDesk(alice, "a")
		w.register(first)
		time.Sleep(10 * time.Minute)
		w.register(onDesk(bob, "b"))
		w.got()
		w.state(alice, StateOverwritten)
		w.d.NotifyAnswered(alice, first.contact, true)
		w.expect("k=1 c=on l=A")
		w.state(alice, StateCurrent)
	})
}

// TestOverwritten lets something else set keys of a phone, also while a message is on its way.
func TestOverwritten(t *testing.T) {
	inWorld(t, func(w *world) {
		const contact = "sip:101@192.0.2.7:5060;line=abc"
		w.set(alice, "A", 1, 2)
		w.register(registration{})
		w.expect("k=1 c=on l=A", "k=2 c=on l=A")
		w.d.NotifyOverwritten(alice, contact, 2, 3)
		w.expect("k=2 c=on l=A")
		w.d.NotifyOverwritten(alice, "sip:other@192.0.2.7", 1)
		w.d.NotifyOverwritten(bob, contact, 1)
		w.expect()
		w.answer(func(message) (int, time.Duration) { return 200, 10 * time.Second })
		w.set(alice, "B", 2)
		time.Sleep(time.Second)
		w.d.NotifyOverwritten(alice, contact, 2)
		w.state(alice, StateSending)
		time.Sleep(time.Minute)
		w.expect("k=2 c=on l=B", "k=2 c=on l=B")
		w.state(alice, StateCurrent)
	})
}

// TestTwoIdentities has two users on one telephone.
func TestTwoIdentities(t *testing.T) {
	inWorld(t, func(w *world) {
		w.set(alice, "A", 1, 5)
		w.set(bob, "B", 1, 6)
		w.register(onDesk(alice, "a"))
		w.register(onDesk(bob, "b"))
		got := w.got()
		slices.Sort(got)
		if !slices.Equal(got, []string{"k=1 c=on l=A", "k=1 c=on l=B", "k=5 c=on l=A", "k=6 c=on l=B"}) {
			t.Errorf("sent %q", got)
		}
		w.set(alice, "C", 1)
		w.expect("k=1 c=on l=C")
		w.state(alice, StateCurrent)
		w.state(bob, StateOverwritten)
		k := w.d.Status(bob)[0].Keys
		if k[0].Acknowledged || k[0].Error != alice+" is on the same phone and has set this key" ||
			k[0].OtherUser != alice || !k[1].Acknowledged || k[1].OtherUser != "" {
			t.Errorf("%+v", k)
		}
		if k := w.d.Status(alice)[0].Keys; k[0].OtherUser != bob || !k[0].Acknowledged {
			t.Errorf("%+v", k)
		}
		for _, o := range w.d.Wait(t.Context(), bob, 1) { // nothing more will come
			if o.Acknowledged || o.Error == "" {
				t.Errorf("%+v", o)
			}
		}
		w.restart()
		w.expect()
		w.state(bob, StateOverwritten)
		// The last one to set it wins, and the same is no conflict.
		w.set(bob, "D", 1)
		w.expect("k=1 c=on l=D")
		w.state(alice, StateOverwritten)
		w.set(alice, "D", 1)
		w.expect("k=1 c=on l=D")
		w.state(alice, StateCurrent)
		w.state(bob, StateCurrent)
		// Who lets go leaves it to the other.
		w.set(alice, "E", 1)
		w.expect("k=1 c=on l=E")
		w.set(alice, "", 1)
		w.expect("k=1 c=on l=D")
		w.set(alice, "F", 6)
		w.expect("k=6 c=on l=F")
		w.set(bob, "", 6)
		w.expect()
		w.state(alice, StateCurrent)
		w.state(bob, StateCurrent)
		// And so does who logs off.
		w.set(alice, "G", 1)
		w.expect("k=1 c=on l=G")
		first := onDesk(alice, "a")
		first.expires = gone
		w.register(first)
		got = w.got()
		slices.Sort(got)
		if !slices.Equal(got, []string{"k=1 c=on l=D", "k=5 c=off", "k=6 c=off"}) {
			t.Errorf("sent %q", got)
		}
		w.state(bob, StateCurrent)
	})
}

// TestManyBehindOneAddress puts many telephones behind one address: no user's leftover is put out
// for another, and none is said to share a phone.
func TestManyBehindOneAddress(t *testing.T) {
	inWorld(t, func(w *world) {
		for i := range 30 {
			aor := fmt.Sprintf("%d@example.com", 200+i)
			w.set(aor, fmt.Sprint("A", i), 1)
			r := onDesk(aor, "x")
			r.contact = fmt.Sprintf("sip:%d@192.0.2.7", 200+i)
			w.register(r)
		}
		w.got()
		for i := range 30 {
			aor := fmt.Sprintf("%d@example.com", 200+i)
			w.set(aor, fmt.Sprint("B", i), 1)
		}
		w.got()
		for i := range 30 {
			w.state(fmt.Sprintf("%d@example.com", 200+i), StateCurrent)
		}
		// One that is back under another Contact is put out what it has shown.
		aor := "205@example.com"
		r := onDesk(aor, "x")
		r.contact, r.expires = "sip:205@192.0.2.7", gone
		w.register(r)
		w.set(aor, "", 1)
		w.expect()
		r.contact, r.expires = "sip:205@192.0.2.7;n=2", 7200
		w.register(r)
		w.expect("k=1 c=off")
	})
}

// TestDECTBase registers the handsets of a base, which share its instance and socket.
func TestDECTBase(t *testing.T) {
	inWorld(t, func(w *world) {
		w.set(alice, "A", 1)
		w.set(bob, "B", 1)
		for _, aor := range []string{alice, bob} {
			r := onDesk(aor, aor[:3])
			r.instance, r.userAgent = "<urn:uuid:1>", "snomM700/03.23.0005 (MAC=00041355AA00; SER=00000; HW=255)"
			w.register(r)
			w.expect("k=1 c=on l=" + map[string]string{alice: "A", bob: "B"}[aor])
		}
		w.state(alice, StateCurrent)
		w.state(bob, StateCurrent)
	})
}

// TestLeftOnOtherDevices has a user with two telephones: on each the keys that it has shown are put
// out.
func TestLeftOnOtherDevices(t *testing.T) {
	inWorld(t, func(w *world) {
		desk := registration{instance: "<urn:uuid:1>", callID: "d"}
		home := registration{instance: "<urn:uuid:2>", contact: "sip:101@198.51.100.9", source: "198.51.100.9:5060",
			callID: "h", expires: 7200}
		w.set(alice, "A", 1, 2)
		w.register(desk)
		w.expect("k=1 c=on l=A", "k=2 c=on l=A")
		desk.expires = gone
		w.register(desk)
		w.set(alice, "", 2)
		w.expect()
		w.register(home)
		w.expect("k=1 c=on l=A")
		desk.expires, desk.source, desk.contact = 7200, "192.0.2.8:1", "sip:101@192.0.2.8:1"
		w.register(desk)
		w.expect("k=1 c=on l=A", "k=2 c=off")
		// There are as many as are remembered.
		w.register(registration{instance: desk.instance, contact: desk.contact, expires: gone, callID: "d"})
		for i := range 2 * maxLeftovers {
			r := registration{instance: fmt.Sprint("i", i), contact: fmt.Sprintf("sip:101@192.0.2.8:%d", 5060+i),
				callID: fmt.Sprint("n", i)}
			w.register(r)
			w.got()
			r.expires = gone
			w.register(r)
			w.got()
		}
		w.d.mu.Lock()
		defer w.d.mu.Unlock()
		if n := len(w.d.users[alice].leftovers); n != maxLeftovers || len(w.d.leftovers) != n || len(w.d.devices) != 1 {
			t.Errorf("%d are remembered, %d by device; %d devices are there", n, len(w.d.leftovers), len(w.d.devices))
		}
	})
}

// TestDesksAtRandom logs users on and off at desks, and changes their keys: in the end each desk
// shows the keys of the user who is there, and nothing of anybody else.
func TestDesksAtRandom(t *testing.T) {
	for seed := range uint64(20) {
		inWorld(t, func(w *world) {
			r := rand.New(rand.NewPCG(seed, 3))
			const desks, users = 3, 4
			aor := func(user int) string { return fmt.Sprintf("%d@example.com", 100+user) }
			at := func(user, desk, n int) registration {
				reg := registration{aor: aor(user), contact: fmt.Sprintf("sip:%d@10.0.0.%d:5060;n=%d", 100+user, desk,
					n), callID: fmt.Sprint(n),
					source: fmt.Sprintf("10.0.0.%d:5060", desk), expires: 7200}
				if seed%2 == 0 {
					reg.instance = fmt.Sprint("desk", desk)
				}
				return reg
			}
			there := make(map[int]registration) // by desk
			for n := range 200 {
				switch desk, user := r.IntN(desks), r.IntN(users); r.IntN(4) {
				case 0, 1:
					w.set(aor(user), []string{"", fmt.Sprint("#", n)}[r.IntN(2)], 1+r.IntN(5))
				case 2:
					if reg, ok := there[desk]; ok {
						reg.expires = gone
						w.register(reg)
						delete(there, desk)
						time.Sleep(time.Second)
					} else {
						there[desk] = at(user, desk, n)
						w.register(there[desk])
					}
				case 3:
					if r.IntN(4) == 0 {
						w.restart()
					}
				}
				time.Sleep(time.Duration(r.IntN(3000)) * time.Millisecond)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			shows := make(map[string]map[string]string)
			for _, m := range w.sent {
				_, desk, _ := strings.Cut(m.contact, "@10.0.0.")
				desk = desk[:1]
				if shows[desk] == nil {
					shows[desk] = make(map[string]string)
				}
				key, doc, _ := strings.Cut(m.body, "\r\n")
				shows[desk][key] = doc
				if doc == "c=off" {
					delete(shows[desk], key)
				}
			}
			for desk, reg := range there {
				want := make(map[string]string)
				for key, label := range w.keys[reg.aor] {
					want[fmt.Sprint("k=", key)] = "c=on\r\nl=" + label
				}
				if got := shows[fmt.Sprint(desk)]; fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("seed %d: %s at desk %d sees %q, not %q", seed, reg.aor, desk, got, want)
				}
				for _, s := range w.d.Status(reg.aor) { // who may be at several
					if s.State != StateCurrent {
						t.Errorf("seed %d: %+v", seed, s)
					}
				}
			}
		})
	}
}
