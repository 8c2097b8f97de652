package flight

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/internal/quota"
)

func group(o Options) *Group[string, int] {
	o.Flights, o.Waiters = quota.New(10, 3), quota.New(100, 20)
	if o.PerFlight == 0 {
		o.PerFlight = 30
	}
	return New[string, int](o)
}

// TestJoin has many wait for one piece of work: it is done once, on one goroutine, and each of them
// is called.
func TestJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(Options{})
		works, calls, full := 0, 0, 0
		work := func() (int, error) {
			works++
			time.Sleep(time.Second)
			return 7, nil
		}
		before := runtime.NumGoroutine()
		for i := range 50 {
			_, err, now := g.Do("a", "", fmt.Sprint("user", i%2), work, func(v int, err error) {
				if v != 7 || err != nil {
					t.Errorf("got %d, %v", v, err)
				}
				calls++
			})
			if now && errors.Is(err, ErrFull) {
				full++
			}
		}
		if n := runtime.NumGoroutine() - before; n != 1 {
			t.Errorf("%d goroutines for those who wait", n)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if works != 1 || calls != 30 || full != 20 {
			t.Errorf("worked %d times, called %d, refused %d", works, calls, full)
		}
		if g.Flights.Taken() != 0 || g.Waiters.Taken() != 0 || len(g.flights) != 0 {
			t.Errorf("left: %d, %d, %d", g.Flights.Taken(), g.Waiters.Taken(), len(g.flights))
		}
	})
}

// TestShare has one user take what a user may. Others are not affected.
func TestShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := group(Options{})
		slow := func() (int, error) { time.Sleep(time.Minute); return 0, nil }
		try := func(who, key string) bool {
			_, _, now := g.Do(key, who, who, slow, func(int, error) {})
			return !now
		}
		for i := range 5 {
			if got := try("greedy", fmt.Sprint(i)); got != (i < 3) {
				t.Errorf("work %d of one user: %t", i, got)
			}
		}
		if !try("other", "other") {
			t.Error("another user is refused")
		}
		for i := 1; i < 25; i++ {
			if got := try("other", "0"); got != (i < 20) {
				t.Errorf("wait %d of one user: %t", i, got)
			}
		}
		if !try("third", "0") {
			t.Error("a third is refused")
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if g.Flights.Taken() != 0 || g.Waiters.Taken() != 0 {
			t.Errorf("left: %d, %d", g.Flights.Taken(), g.Waiters.Taken())
		}
	})
}

// TestRemember keeps good results for some time, and bad ones for longer each time.
func TestRemember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken, passing := errors.New("broken"), errors.New("passing")
		g := group(Options{Keep: 5 * time.Second, Remember: 3, Transient: func(err error) bool { return err == passing }})
		var result error
		works := 0
		ask := func(key string) {
			g.Do(key, "", "", func() (int, error) { works++; return works, result }, func(int, error) {})
			synctest.Wait()
		}
		// per second for a minute
		count := func(key string, seconds int) int {
			works = 0
			for range seconds {
				ask(key)
				time.Sleep(time.Second + time.Millisecond)
			}
			return works
		}
		if n := count("good", 20); n != 4 {
			t.Errorf("a good result was asked for %d times in 20 s", n)
		}
		result = broken
		if n := count("bad", 60); n != 9 { // at 0, 1, 3, 7, 15, 25, 35, …
			t.Errorf("a bad result was asked for %d times in a minute", n)
		}
		result = passing
		if n := count("passing", 20); n != 20 {
			t.Errorf("an error that says nothing was asked for %d times in 20 s", n)
		}
		result = broken
		time.Sleep(time.Minute)
		if n := count("bad", 2); n != 2 {
			t.Errorf("after a minute: %d", n)
		}
		for i := range 10 {
			ask(fmt.Sprint(i))
		}
		if len(g.results) != 3 {
			t.Errorf("%d results are kept", len(g.results))
		}
	})
}
