package transport

import (
	"testing"
	"time"
)

// share returns how many of a thousand requests are refused, and how many get no answer.
func (o *load) share() (refused, dropped int) {
	for range 1000 {
		switch o.admit() {
		case Refuse:
			refused++
		case Drop:
			dropped++
		}
	}
	return refused, dropped
}

func TestLoad(t *testing.T) {
	now := time.Unix(1700000000, 0)
	o := new(load)
	// run has batches come every millisecond.
	run := func(d, waited time.Duration, lost bool) {
		for end := now.Add(d); now.Before(end); now = now.Add(time.Millisecond) {
			o.observe(now, waited, lost)
		}
	}
	refuses := func(least, most, silent int) {
		t.Helper()
		if refused, dropped := o.share(); refused < least || refused > most || dropped < silent-1 || dropped > silent+1 {
			t.Errorf("of a thousand %d are refused, want %d to %d, and %d not answered, want %d", refused, least, most, dropped, silent)
		}
	}
	run(time.Second, lateAfter, false)
	refuses(0, 0, 0)
	if o.watched() {
		t.Error("a reader that keeps up is watched")
	}
	// A burst is no overload.
	run(sustained-time.Millisecond, time.Second, false)
	refuses(0, 0, 0)
	run(time.Millisecond, 0, false)
	run(sustained-time.Millisecond, 0, true)
	refuses(0, 0, 0)
	run(time.Millisecond, 0, false)
	// What goes on is, whether datagrams wait or are lost.
	for _, lost := range []bool{false, true} {
		waited := time.Second
		if lost {
			waited = 0
		}
		run(sustained+loadStep, waited, lost)
		refuses(140, 350, 0)
		if !o.watched() {
			t.Error("a reader that is behind is not watched")
		}
		run(320*time.Millisecond, waited, lost)
		refuses(930, 940, 0) // some are always let in
		run(time.Second, waited, lost)
		refuses(0, 1, 937)
		// It ends soon after the flood.
		run(200*time.Millisecond, 0, false)
		refuses(400, 500, 0)
		run(300*time.Millisecond, 0, false)
		refuses(0, 0, 0)
		if o.watched() {
			t.Error("a reader that keeps up again is watched")
		}
	}
	// Nor does anybody have to come before it ends.
	run(time.Second, time.Second, false)
	now = now.Add(time.Second)
	run(loadStep, 0, false)
	refuses(0, 0, 0)
}
