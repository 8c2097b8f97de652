package ban

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestMarks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMarks(10)
		a, b := addr("192.0.2.1"), addr("2001:db8::1")
		m.Set(a, "", time.Hour)
		m.Set(a, "101", time.Minute)
		m.Set(b, "101", time.Minute)
		for _, tc := range []struct {
			addr, user string
			has, later bool
		}{
			{"192.0.2.1", "", true, true},
			{"::ffff:192.0.2.1", "", true, true},
			{"192.0.2.1", "101", true, false},
			{"192.0.2.1", "102", false, false},
			{"192.0.2.2", "101", false, false},
			{"2001:db8::2", "101", true, false}, // a host has a whole /64
			{"2001:db8::1", "", false, false},
			{"2001:db8:0:1::1", "101", false, false},
		} {
			if got := m.Has(addr(tc.addr), tc.user); got != tc.has {
				t.Errorf("%s at %s: %v", tc.user, tc.addr, got)
			}
			defer func() {
				if got := m.Has(addr(tc.addr), tc.user); got != tc.later {
					t.Errorf("%s at %s, a minute later: %v", tc.user, tc.addr, got)
				}
			}()
		}
		time.Sleep(time.Minute)
	})
}

// TestMarksFull sets more marks than there is room for: those that end first are replaced.
func TestMarksFull(t *testing.T) {
	const long = 20 // so few that no set is full of them, but once in 200,000 runs
	m := NewMarks(10)
	a := addr("192.0.2.1")
	for i := range long {
		m.Set(a, fmt.Sprint("long", i), 24*time.Hour)
	}
	for i := range 20 << 10 {
		m.Set(a, fmt.Sprint("short", i), time.Minute)
	}
	missing := 0
	for i := range long {
		if !m.Has(a, fmt.Sprint("long", i)) {
			missing++
		}
	}
	if missing > 0 {
		t.Errorf("%d of %d long marks were replaced by short ones", missing, long)
	}
	if n := testing.AllocsPerRun(100, func() { m.Set(a, "101", time.Hour); m.Has(a, "101") }); n != 0 {
		t.Errorf("a mark makes %v allocations", n)
	}
}
