package keys

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/internal/store"
	"github.com/caddysip/caddysip/storage"
)

// randomKeys is how many keys there are at random.
const randomKeys = 4

// model is what a store should be, in the simplest way to say it.
type model struct {
	said     map[string]map[int]map[Layer]Stored // by address-of-record and key
	profiles []ProfileConfig
}

func (m *model) apply(changes []Change) {
	for _, c := range changes {
		if m.said[c.AOR] == nil {
			m.said[c.AOR] = make(map[int]map[Layer]Stored)
		}
		keys := m.said[c.AOR]
		if c.Replace {
			for _, layers := range keys {
				delete(layers, c.Layer)
			}
		}
		if c.Record == nil {
			delete(keys[c.Key], c.Layer)
			continue
		}
		if keys[c.Record.Key] == nil {
			keys[c.Record.Key] = make(map[Layer]Stored)
		}
		s := Stored{Record: *c.Record, Layer: c.Layer, Locked: c.Locked, Volatile: c.Volatile}
		if c.TTL > 0 {
			s.Expires = time.Now().Add(c.TTL)
		}
		keys[c.Record.Key][c.Layer] = s
	}
}

// restart drops what is not stored.
func (m *model) restart() {
	for _, keys := range m.said {
		for _, layers := range keys {
			if layers[Event].Volatile {
				delete(layers, Event)
			}
		}
	}
}

func (m *model) effective(aor string) []Effective {
	var list []Effective
	for key := 1; key <= randomKeys; key++ {
		layers := make(map[Layer]Stored)
		for l, s := range m.said[aor][key] {
			if s.Expires.IsZero() || time.Now().Before(s.Expires) {
				layers[l] = s
			}
		}
		for _, p := range slices.Backward(m.profiles) {
			for _, k := range p.Keys {
				if k.Key == key {
					layers[Profile] = Stored{Record: k.Record(), Layer: Profile, Locked: k.Locked}
				}
			}
		}
		if len(layers) == 0 {
			continue
		}
		top := Profile
		for _, l := range []Layer{Admin, User} { // from the bottom up
			if _, ok := layers[l]; ok {
				top = l
			}
		}
		for _, l := range []Layer{Profile, Admin} {
			if layers[l].Locked {
				top = l
			}
		}
		if _, ok := layers[Event]; ok {
			top = Event
		}
		s := layers[top]
		list = append(list, Effective{Record: s.Record, Layer: top, Locked: layers[Profile].Locked || layers[Admin].Locked, Expires: s.Expires})
	}
	return list
}

// TestRandom does what comes to its mind, and compares with the model: what is shown, and that
// whoever looks only when told sees all.
func TestRandom(t *testing.T) {
	for name, open := range engines {
		seeds := uint64(10)
		if name == "bolt" {
			seeds = 2 // each change waits for the disk
		}
		for seed := range seeds {
			t.Run(fmt.Sprint(name, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { random(t, &failing{Engine: open(t)}, rand.New(rand.NewPCG(seed, 7))) })
			})
		}
	}
}

func random(t *testing.T, f *failing, r *rand.Rand) {
	aors := []string{alice, bob, "carol@example.com"}
	m := &model{said: make(map[string]map[int]map[Layer]Stored)}
	s, told := start(t, f, aors...)
	shown := make(map[string][]Effective)
	for range 300 {
		switch n := r.IntN(20); {
		case n < 12:
			changes := randomChanges(r, aors)
			want := error(nil)
			if r.IntN(10) == 0 {
				want = ErrConflict
				changes[r.IntN(len(changes))].Expect = "another"
			} else if r.IntN(3) == 0 {
				changes[0].Expect = s.Revision(changes[0].AOR)
			}
			if err := s.Apply(context.Background(), changes); !errors.Is(err, want) {
				t.Fatalf("got the error %v, want %v", err, want)
			}
			if want == nil {
				m.apply(changes)
			}
		case n < 14:
			f.fail(errFull)
			writes := f.writes
			changes := randomChanges(r, aors)
			if err := s.Apply(context.Background(), changes); (err != nil) != (f.writes > writes) {
				t.Fatalf("got the error %v", err)
			} else if err == nil {
				m.apply(changes)
			}
			f.fail(nil)
		case n < 17:
			time.Sleep(time.Duration(r.IntN(10_000)) * time.Millisecond)
			synctest.Wait()
		case n < 18:
			m.profiles = nil
			for range r.IntN(3) {
				p := ProfileConfig{}
				for key := 1; key <= randomKeys; key++ {
					if r.IntN(2) == 0 {
						k := randomRecord(r, key)
						p.Keys = append(p.Keys, ProfileKey{k.Key, k.Light, k.Color, k.Label, k.Number, k.Action, r.IntN(2) == 0})
					}
				}
				m.profiles = append(m.profiles, p)
			}
			s.SetProfiles(m.profiles, nil)
		default:
			s.Close()
			time.Sleep(time.Duration(r.IntN(5_000)) * time.Millisecond)
			s, told = start(t, f, aors...)
			s.SetProfiles(m.profiles, nil)
			m.restart()
			for _, aor := range aors {
				told.add(aor) // after a start everybody looks
			}
		}
		for _, aor := range told.take() {
			shown[aor] = s.Effective(aor, Phone{})
		}
		for _, aor := range aors {
			want := m.effective(aor)
			if got := s.Effective(aor, Phone{}); !same(got, want) {
				t.Fatalf("%s\ngot  %+v\nwant %+v", aor, got, want)
			}
			if !same(shown[aor], want) {
				t.Fatalf("nobody was told that %s shows\n%+v\ninstead of\n%+v", aor, want, shown[aor])
			}
		}
	}
	s.Close()
	_ = f.Close()
}

func same(a, b []Effective) bool {
	return slices.EqualFunc(a, b, func(a, b Effective) bool {
		if !a.Expires.Equal(b.Expires) {
			return false
		}
		a.Expires, b.Expires = time.Time{}, time.Time{}
		return reflect.DeepEqual(a, b)
	})
}

func randomChanges(r *rand.Rand, aors []string) []Change {
	var changes []Change
	for range 1 + r.IntN(4) {
		c := Change{AOR: aors[r.IntN(len(aors))], Layer: Admin + Layer(r.IntN(3)), Replace: r.IntN(6) == 0}
		key := 1 + r.IntN(randomKeys)
		switch r.IntN(4) {
		case 0:
			c.Key = key
		case 1:
			if c.Replace {
				break
			}
			fallthrough
		default:
			record := randomRecord(r, key)
			c.Record = &record
			c.Locked = c.Layer == Admin && r.IntN(3) == 0
			c.Volatile = c.Layer == Event && r.IntN(2) == 0
			if r.IntN(2) == 0 {
				c.TTL = time.Duration(1+r.IntN(20_000)) * time.Millisecond
			}
		}
		changes = append(changes, c)
	}
	return changes
}

func randomRecord(r *rand.Rand, key int) Record {
	pick := func(words []string) string { return words[r.IntN(len(words))] }
	return Record{Key: key, Light: pick(lightWords), Color: pick(colorWords), Action: pick(actionWords),
		Label: pick([]string{"", "a", "Grüße", "0123456789"}), Number: pick([]string{"", "9", "sip:9@example.com"})}
}

// Everybody changes a key of the same user at once, while others read, and the storage changes.
func TestConcurrent(t *testing.T) {
	first, second := closing(t, store.NewMemory()), closing(t, store.NewMemory())
	s, _ := start(t, first, alice)
	const workers, rounds = 8, 50
	var writers, readers sync.WaitGroup
	end := make(chan struct{})
	for n := range 3 {
		readers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-end:
					return
				default:
				}
				switch n {
				case 0:
					s.Effective(alice, Phone{UserAgent: "snom370/8", Model: "370"})
					s.AORs("", 10)
				case 1:
					s.SetProfiles([]ProfileConfig{{Keys: []ProfileKey{{Key: i%9 + 1, Label: "p"}}}}, nil)
				case 2:
					mustApply(t, s, Change{AOR: bob, Layer: Event, Record: label(1, "ring"), Volatile: true, TTL: time.Microsecond})
					s.Revision(alice)
				}
			}
		})
	}
	for n := range workers {
		writers.Go(func() {
			for i := range rounds {
				mustApply(t, s, Change{AOR: alice, Layer: Admin, Record: label(n+1, fmt.Sprint(i))}, Change{AOR: bob, Layer: User, Record: label(n+100, fmt.Sprint(i))})
			}
		})
	}
	writers.Wait()
	close(end)
	readers.Wait()
	check := func(s *Store) {
		t.Helper()
		for aor, l := range map[string]Layer{alice: Admin, bob: User} {
			list := s.Layer(aor, l)
			if len(list) != workers {
				t.Fatalf("there are %d keys of %s", len(list), aor)
			}
			for _, r := range list {
				if r.Label != fmt.Sprint(rounds-1) {
					t.Errorf("%s has %+v", aor, r)
				}
			}
		}
	}
	check(s)
	again, _ := start(t, first)
	check(again)

	// A change is in one of two storages, and what is shown is from the one that is used last.
	var swaps sync.WaitGroup
	swaps.Go(func() {
		for range rounds {
			for _, e := range []storage.Engine{second, first} {
				if err := s.SwitchTo(e); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for range rounds {
		mustApply(t, s, Change{AOR: alice, Layer: User, Record: label(1, "swapped")})
	}
	swaps.Wait()
	again, _ = start(t, first)
	if got, want := s.Layer(alice, User), again.Layer(alice, User); !reflect.DeepEqual(got, want) {
		t.Errorf("in memory is %+v, in the storage %+v", got, want)
	}
}
