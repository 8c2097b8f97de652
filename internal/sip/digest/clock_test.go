package digest

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestUseOutOfOrder has two copies of a request come at once, of which the second to get there has
// looked at the clock first.
func TestUseOutOfOrder(t *testing.T) {
	var tab table
	tab.init()
	const id, made, request, now = 1, 1, 7, 100_000
	for _, test := range []struct {
		request, now uint64
		want         Use
	}{
		{request, now, Accepted},
		{request, now - 1, Accepted},
		{request + 1, now - 1, Replayed},
		{request, now + retransmission, Accepted},
		{request, now + retransmission + 1, Replayed},
	} {
		if got := tab.use(id, made, 1, test.request, test.now, 1<<20); got != test.want {
			t.Errorf("request %d at %d: %v, want %v", test.request, test.now, got, test.want)
		}
	}
}

// TestWindowsAreUsedAgain: a nonce that is not good any more makes room for another. A longer
// lifetime later does not make it good once more.
func TestWindowsAreUsedAgain(t *testing.T) {
	var tab table
	tab.init()
	const lifetime = 1000
	now := uint64(1)
	for range 100 * tableWays {
		if got := tab.use(1, now, 1, 7, now, lifetime); got != Accepted {
			t.Fatalf("a new nonce: %v", got)
		}
		now += lifetime/2 + 1
	}
	if n := len(tab.sets[1].windows); n > 3 {
		t.Errorf("there are %d windows", n)
	}
	if got := tab.use(1, now-5*(lifetime/2+1), 1, 7, now, 100*lifetime); got != Stale {
		t.Errorf("one that was forgotten: %v", got)
	}
}

// TestManyPhones has as many phones in turn as a large site.
func TestManyPhones(t *testing.T) {
	n := NewNonces()
	const phones = 100_000
	nonces := make([]Nonce, phones)
	for i := range nonces {
		nonces[i] = Nonce{id: rand.Uint64(), made: 1}
	}
	stale := 0
	for count := range uint32(2) {
		for i, nonce := range nonces {
			if n.Use(nonce, 1+count, uint64(i), time.Hour) != Accepted {
				stale++
			}
		}
	}
	if stale > phones/50 {
		t.Errorf("%d of %d uses were stale", stale, 2*phones)
	}
}
