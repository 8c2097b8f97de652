package location

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/internal/budget"
	"github.com/caddysip/caddysip/wire"
)

// several is a REGISTER with n Contacts, from n on, that are as short as they can be, and all that
// they share as long as it can be.
func several(tb testing.TB, user, first, n int) *Update {
	u := phone(tb, user)
	u.CallID = fmt.Appendf(nil, "%d%s", user, bytes.Repeat([]byte("c"), MaxText-10))
	u.Path = bytes.Repeat([]byte("p"), MaxText)
	u.UserAgent = fmt.Appendf(nil, "%d%s", user, bytes.Repeat([]byte("a"), 200))
	u.Contacts = nil
	for i := range n {
		uri, err := wire.ParseURI(fmt.Appendf(nil, "sip:%d@h", first+i))
		if err != nil {
			tb.Fatal(err)
		}
		u.Contacts = append(u.Contacts, ContactUpdate{URI: uri, Expires: 600, Q: 1000})
	}
	return u
}

// TestBytes compares what is counted with what the heap holds.
func TestBytes(t *testing.T) {
	for _, tc := range []struct {
		name   string
		n      int
		update func(i int) *Update
	}{
		{"phones", 50_000, func(i int) *Update { return phone(t, i) }},
		{"all of them of another model", 20_000, func(i int) *Update {
			u := phone(t, i)
			u.UserAgent = fmt.Appendf(nil, "model %d", i)
			return u
		}},
		{"long ones", 10_000, func(i int) *Update {
			u := phone(t, i)
			u.CallID, u.Path = bytes.Repeat([]byte("c"), MaxText), bytes.Repeat([]byte("p"), MaxText)
			return u
		}},
		{"ten contacts each", 5_000, func(i int) *Update { return several(t, i, 0, 10) }},
	} {
		var used budget.Budget
		before := heap()
		s := newStore(t, Options{Budget: &used})
		var r Result
		for i := range tc.n {
			if err := s.Update(tc.update(i), &r); err != nil {
				t.Fatal(err)
			}
		}
		r = Result{}
		held := float64(heap() - before)
		runtime.KeepAlive(s)
		if counted := float64(s.Bytes()); counted < 0.85*held || counted > 1.5*held {
			t.Errorf("%s: %.0f bytes are held for each, and %.0f counted", tc.name, held/float64(tc.n), counted/float64(tc.n))
		}
		if used.Total() != s.Bytes() {
			t.Errorf("%s: taken from the budget are %d, counted are %d", tc.name, used.Total(), s.Bytes())
		}
		for i := range tc.n {
			s.Remove(tc.update(i).AOR, nil)
		}
		if _, n := s.Len(); n != 0 || s.Bytes() != 0 || used.Used(budget.Bindings) != s.absent()*knownCost {
			t.Errorf("%s: what is left: %d bindings, %d bytes, %s", tc.name, n, s.Bytes(), used.String())
		}
	}
}

// absent returns how many users are remembered that are absent.
func (s *Store) absent() (n int64) {
	for i := range s.shards {
		n += int64(len(s.shards[i].known))
	}
	return n
}

// TestShared has what the Contacts of one REGISTER have in common be stored once, and its refresh
// too, and after a restart.
func TestShared(t *testing.T) {
	var used budget.Budget
	s := newStore(t, Options{Budget: &used})
	u := several(t, 1, 0, 10)
	var r Result
	cost := func() int64 { return s.Bytes() }
	if err := s.Update(u, &r); err != nil {
		t.Fatal(err)
	}
	first := cost()
	if limit := int64(len(u.CallID) + len(u.Path) + len(u.UserAgent) + len(u.AOR) + 300 + 10*300); first > limit {
		t.Errorf("ten contacts take %d bytes, over %d", first, limit)
	}
	refresh := func() {
		t.Helper()
		u.CSeq++
		if err := s.Update(u, &r); err != nil {
			t.Fatal(err)
		}
		if cost() != first {
			t.Errorf("after a refresh they take %d bytes, and took %d", cost(), first)
		}
		for _, c := range r.Changes {
			if c.Old == nil || c.New.shared != c.Old.shared || c.New.moved(c.Old) {
				t.Fatalf("%+v", c)
			}
		}
	}
	refresh()
	refresh()
	var records []Record
	for _, b := range s.Lookup(u.AOR, nil) {
		if b.CallID() != string(u.CallID) || b.Path() != string(u.Path) || b.UserAgent() != string(u.UserAgent) || b.AOR() != string(u.AOR) {
			t.Errorf("a binding has other texts than were registered: %+v", b.Record())
		}
		records = append(records, b.Record())
	}
	again := newStore(t, Options{})
	if err := again.Restore(records...); err != nil {
		t.Fatal(err)
	}
	if again.Bytes() != first {
		t.Errorf("after a restart they take %d bytes, and took %d", again.Bytes(), first)
	}
	// One is refreshed by itself: it does not keep what it shared.
	u.CSeq++
	u.Contacts = u.Contacts[:1]
	u.CallID, u.Path = []byte("short"), nil
	if err := s.Update(u, &r); err != nil {
		t.Fatal(err)
	}
	s.Remove(u.AOR, nil)
	if s.Bytes() != 0 {
		t.Errorf("%d bytes are left", s.Bytes())
	}
}

// TestLimits fills the table to each limit: more is refused and changes nothing, what is there is
// refreshed and removed.
func TestLimits(t *testing.T) {
	for _, tc := range []struct {
		name   string
		limits Limits
		memory int64
		owner  string
		want   error
	}{
		{"registrations", Limits{Bindings: 100}, 0, "", ErrBindings},
		{"bytes", Limits{Bytes: 30_000}, 0, "", ErrBytes},
		{"memory", Limits{}, 50_000, "", ErrMemory},
		{"of one user", Limits{OwnerBindings: 50}, 0, "boss", ErrOwner},
		{"bytes of one user", Limits{OwnerBytes: 10_000}, 0, "boss", ErrOwner},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var used budget.Budget
			used.SetCeiling(tc.memory)
			s := newStore(t, Options{Budget: &used})
			var r Result
			update := func(i int) *Update {
				u := phone(t, i)
				u.Limits, u.Owner = tc.limits, []byte(tc.owner)
				return u
			}
			n := 0
			var err error
			for ; n < 1000 && err == nil; n++ {
				err = s.Update(update(n), &r)
			}
			n--
			if err != tc.want || n < 20 {
				t.Fatalf("%d are taken, then: %v", n, err)
			}
			bytes, total := s.Bytes(), used.Total()
			for i := n; i < n+100; i++ {
				if err := s.Update(update(i), &r); err != tc.want || len(r.Bindings)+len(r.Changes) != 0 {
					t.Fatalf("%d: %v, %v", i, err, r)
				}
				// Refused is refused as a whole: with it comes nothing else.
				more := several(t, i, 0, 10)
				more.Limits, more.Owner = tc.limits, []byte(tc.owner)
				if err := s.Update(more, &r); err != tc.want {
					t.Fatalf("%d: %v", i, err)
				}
			}
			if _, have := s.Len(); have != n || s.Bytes() != bytes || used.Total() != total {
				t.Errorf("refusing has changed it to %d bindings and %d bytes, from %d and %d", have, s.Bytes(), n, bytes)
			}
			// Others than that user are served.
			if tc.want == ErrOwner {
				u := update(n)
				u.Owner = nil
				if err := s.Update(u, &r); err != nil {
					t.Fatal(err)
				}
				s.Remove(u.AOR, nil)
			}
			for i := range n {
				u := update(i)
				u.CSeq++
				u.CallID = []byte("a longer Call-ID, since the phone has started anew")
				if err := s.Update(u, &r); err != nil || len(r.Changes) != 1 || r.Changes[0].Old == nil {
					t.Fatalf("a refresh: %v, %v", err, r.Changes)
				}
			}
			u := update(0)
			u.CSeq += 5
			u.Contacts[0].Expires = 0
			if err := s.Update(u, &r); err != nil || len(r.Bindings) != 0 {
				t.Fatalf("a removal: %v, %v", err, r.Bindings)
			}
			for i := range n {
				s.Remove(update(i).AOR, nil)
			}
			if s.Bytes() != 0 || len(s.interner.owners) != 0 || len(s.interner.shared) != 0 {
				t.Errorf("left are %d bytes, %v, %v", s.Bytes(), s.interner.owners, s.interner.shared)
			}
			if err := s.Update(update(n), &r); err != nil {
				t.Errorf("there is room again: %v", err)
			}
		})
	}
}

// TestGrowth has a refresh be no way around the limits.
func TestGrowth(t *testing.T) {
	s := newStore(t, Options{})
	var r Result
	for i := range 100 {
		if err := s.Update(phone(t, i), &r); err != nil {
			t.Fatal(err)
		}
	}
	limit := Limits{Bytes: s.Bytes() + 10_000}
	var err error
	for i := range 100 {
		u := phone(t, i)
		u.CSeq++
		u.Limits, u.Path = limit, bytes.Repeat([]byte("p"), MaxText)
		err = errors.Join(err, s.Update(u, &r))
	}
	if !errors.Is(err, ErrBytes) || s.Bytes() > limit.Bytes {
		t.Errorf("%d bytes, %d are possible: %v", s.Bytes(), limit.Bytes, err)
	}
}

// TestAccountsAtRandom registers, refreshes, moves and removes in any order, and counts to nothing
// in the end.
func TestAccountsAtRandom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var used budget.Budget
		s := New(Options{Budget: &used})
		defer s.Close()
		rnd := rand.New(rand.NewPCG(1, 2))
		var r Result
		superseded := 0
		for range 5000 {
			u := several(t, rnd.IntN(5), rnd.IntN(4), 1+rnd.IntN(4))
			u.CSeq = uint32(rnd.IntN(1000))
			u.Max, u.Limits = 6, Limits{Bindings: 20, Bytes: 30_000, OwnerBindings: 10}
			u.UserAgent = fmt.Appendf(nil, "agent %d", rnd.IntN(3))
			u.Owner = []byte([]string{"", "", "x", "y"}[rnd.IntN(4)])
			u.CallID = fmt.Appendf(nil, "call %d", rnd.IntN(3))
			u.Refuse = rnd.IntN(4) == 0
			for i := range u.Contacts {
				u.Contacts[i].Instance = []byte([]string{"", "", "i", "j"}[rnd.IntN(4)])
				if rnd.IntN(3) == 0 {
					u.Contacts[i].Expires = 0
				}
			}
			_ = s.Update(u, &r)
			if rnd.IntN(50) == 0 {
				s.Remove(u.AOR, nil)
			}
			if rnd.IntN(20) == 0 {
				time.Sleep(time.Duration(rnd.IntN(500)) * time.Second)
			}
			var want int64
			held := make(map[*shared]int)
			s.Range("", 0, func(aor string, bindings []*Binding) bool {
				for _, b := range bindings {
					if b.Superseded() {
						superseded++
					}
					want += int64(b.cost())
					if held[b.shared]++; held[b.shared] == 1 {
						want += int64(b.shared.cost())
					}
				}
				return true
			})
			if _, n := s.Len(); n == 0 && s.Bytes() != 0 || s.Bytes() < want {
				t.Fatalf("%d bytes are counted for %d bindings, held are %d", s.Bytes(), n, want)
			}
			s.interner.mu.Lock()
			for p, n := range held {
				if p.refs < n {
					t.Errorf("%d bindings share what %d are counted for", n, p.refs)
				}
			}
			s.interner.mu.Unlock()
		}
		if superseded < 1000 {
			t.Errorf("only %d times was a binding superseded", superseded)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if _, n := s.Len(); n != 0 || s.Bytes() != 0 || len(s.interner.owners)+len(s.interner.shared) != 0 || used.Total() != s.absent()*knownCost {
			t.Errorf("left are %d bindings, %d bytes, %v, %v, %s", n, s.Bytes(), s.interner.owners, s.interner.shared, used.String())
		}
	})
}
