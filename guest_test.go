package caddysip_test

import (
	"os/exec"
	"testing"
)

// TestGuest builds and tests a module of its own that has one of everything that a guest can write.
func TestGuest(t *testing.T) {
	for _, args := range [][]string{{"vet", "./..."}, {"test", "./..."}} {
		cmd := exec.Command("go", args...)
		cmd.Dir = "testdata/guest"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("go %s: %v\n%s", args[0], err, out)
		}
	}
}
