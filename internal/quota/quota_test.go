package quota

import (
	"fmt"
	"testing"
)

// TestQuota has many greedy users: each gets at most what it may, and there is room for one more
// for as long as can be.
func TestQuota(t *testing.T) {
	q := New(100, 16)
	var had []int
	for i := range 40 {
		n := 0
		for q.Take(fmt.Sprint(i)) {
			n++
		}
		had = append(had, n)
	}
	if got, want := fmt.Sprint(had[:10]), "[16 16 16 16 16 10 5 3 1 1]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if q.Taken() != 100 || q.Take("") || q.Take("new") {
		t.Errorf("%d are taken of 100", q.Taken())
	}
	for i, n := range had {
		for range n {
			q.Release(fmt.Sprint(i))
		}
	}
	if q.Taken() != 0 || len(q.users) != 0 {
		t.Errorf("%d are still taken, by %v", q.Taken(), q.users)
	}
	for range 100 {
		if !q.Take("") {
			t.Fatal("nobody is bound by a share")
		}
	}
	for range 100 {
		q.Release("")
	}
	if q.Taken() != 0 {
		t.Errorf("%d are still taken", q.Taken())
	}
}
