package delivery

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/internal/budget"
	"github.com/caddysip/caddysip/storage"
)

// come has a phone of a user register, and go again once it has its keys.
func (w *world) come(i int) {
	w.t.Helper()
	aor := fmt.Sprintf("%d@example.com", i)
	r := registration{aor: aor, contact: fmt.Sprintf("sip:%d@192.0.2.7", i)}
	w.set(aor, "x", 1, 2)
	w.register(r)
	time.Sleep(time.Second)
	r.expires = gone
	w.register(r)
	time.Sleep(time.Second)
}

// known returns for which of n users it is remembered what their phones have shown.
func (w *world) known(n int) (list []int) {
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	for i := range n {
		if w.d.users[fmt.Sprintf("%d@example.com", i)] != nil {
			list = append(list, i)
		}
	}
	return list
}

// TestNeverAnswered checks that users are forgotten whose phones have gone and never answered: they
// show nothing.
func TestNeverAnswered(t *testing.T) {
	inWorld(t, func(w *world) {
		w.answer(func(m message) (int, time.Duration) {
			if m.contact == "sip:0@192.0.2.7" {
				return 200, 0
			}
			return 0, 0
		})
		for i := range 5 {
			w.come(i)
		}
		time.Sleep(time.Minute)
		if got := fmt.Sprint(w.known(5)); got != "[0]" {
			t.Errorf("known are %s", got)
		}
		stored := 0
		if _, err := w.kept.Range(t.Context(), bucketDelivery, "",
			func(storage.Entry) error { stored++; return nil }); err != nil || stored != 1 {
			t.Errorf("%d are stored: %v", stored, err)
		}
	})
}

// TestAbsentUsersAreForgotten has more users be away than are remembered, or than there is memory
// for.
func TestAbsentUsersAreForgotten(t *testing.T) {
	inWorld(t, func(w *world) {
		w.d.absent.max = 5
		w.set("here@example.com", "x", 1)
		w.register(registration{aor: "here@example.com", contact: "sip:here@192.0.2.7"})
		for i := range 8 {
			w.come(i)
		}
		if got := fmt.Sprint(w.known(100)); got != "[3 4 5 6 7]" {
			t.Errorf("known are %s", got)
		}
		// Who is back for a moment is not the one who was away for longest.
		w.come(3)
		w.come(8)
		w.come(9)
		if got := fmt.Sprint(w.known(100)); got != "[3 6 7 8 9]" {
			t.Errorf("known are %s", got)
		}
		time.Sleep(time.Minute)
		stored := 0
		if _, err := w.kept.Range(t.Context(), bucketDelivery, "", func(storage.Entry) error { stored++; return nil }); err != nil || stored != 6 {
			t.Errorf("%d are stored, want 6: %v", stored, err)
		}

		w.d.absent.max = 1000
		w.budget.SetCeiling(4 * (w.budget.Total() + 100)) // a quarter is for keys
		for i := 10; i < 30; i++ {
			w.come(i)
		}
		if got := w.known(100); len(got) < 3 || len(got) > 7 || got[0] != 30-len(got) {
			t.Errorf("known are %v: %s", got, w.budget.String())
		}
		if used := w.budget.Used(budget.Keys); used > w.budget.Ceiling()/4 {
			t.Errorf("%d bytes are taken of %d", used, w.budget.Ceiling()/4)
		}
		// Who is here stays.
		w.d.mu.Lock()
		here := w.d.users["here@example.com"]
		w.d.mu.Unlock()
		if here == nil || len(here.phones) != 1 {
			t.Error("a phone that is here is forgotten")
		}
		w.set("here@example.com", "", 1)
		w.register(registration{aor: "here@example.com", contact: "sip:here@192.0.2.7", expires: gone})
		time.Sleep(time.Second)
		synctest.Wait()
		w.d.mu.Lock()
		for _, u := range w.d.users {
			w.d.clean(u, time.Now().Add(leftoverTime+time.Hour))
		}
		w.d.mu.Unlock()
		if w.budget.Total() != 0 || len(w.d.users) != 0 || w.d.absent.count != 0 {
			t.Errorf("left are %d users, %d absent, %s", len(w.d.users), w.d.absent.count, w.budget.String())
		}
	})
}

// TestInboxIsBounded has more users wait to be looked at than are remembered: everybody is looked
// at then.
func TestInboxIsBounded(t *testing.T) {
	d := &Delivery{wake: make(chan struct{}, 1)}
	var b inbox
	for i := range inboxMax + 100 {
		b.put(d, fmt.Sprint(i), registered)
	}
	if len(b.order) != inboxMax || len(b.cause) != inboxMax || !b.all {
		t.Errorf("%d are waiting, %d is the most; all: %t", len(b.order), inboxMax, b.all)
	}
}
