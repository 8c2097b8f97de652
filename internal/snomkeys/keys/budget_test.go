package keys

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/caddysip/caddysip/internal/budget"
)

// TestBudget sets keys until there is no memory for more: what is there can be changed and deleted,
// and in the end nothing is taken.
func TestBudget(t *testing.T) {
	var used budget.Budget
	used.SetCeiling(40_000)
	s := New(Options{Budget: &used})
	defer s.Close()
	change := func(i int, label string) error {
		return s.Apply(t.Context(), []Change{{AOR: fmt.Sprintf("%d@example.com", i), Layer: Admin, Record: &Record{Key: 1, Light: "on", Label: label}}})
	}
	n := 0
	var err error
	for ; n < 1000 && err == nil; n++ {
		err = change(n, strings.Repeat("x", 200))
	}
	n--
	if !errors.Is(err, ErrFull) || n < 20 || s.Len() != n {
		t.Fatalf("%d are set, %d are there: %v", n, s.Len(), err)
	}
	before := used.Total()
	if err := change(0, strings.Repeat("x", 255)); err != nil && !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	if err := change(1, strings.Repeat("y", 200)); err != nil {
		t.Fatal(err)
	}
	if err := change(2, "short"); err != nil || used.Total() >= before+64 {
		t.Fatalf("%v, %s", err, used.String())
	}
	for i := range n {
		if err := s.Apply(t.Context(), []Change{{AOR: fmt.Sprintf("%d@example.com", i), Layer: Admin, Key: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	if used.Total() != 0 {
		t.Errorf("left is %s", used.String())
	}
}
