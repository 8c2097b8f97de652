package transaction

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/internal/sip/transport"
)

func TestAfterFunc(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, transport.UDP, Options{})
		// Up to several turns of the wheel, from times that are no multiples of a tick.
		random := rand.New(rand.NewPCG(1, 2))
		type result struct{ want, got time.Duration }
		const n = 2000
		results := make(chan result, n)
		for range n {
			time.Sleep(time.Duration(random.IntN(int(tick))))
			d := time.Duration(random.Int64N(int64(3 * time.Minute)))
			start := time.Now()
			w.table.AfterFunc(d, func() { results <- result{d, time.Since(start)} })
		}
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		close(results)
		fired := 0
		for r := range results {
			fired++
			if late := r.got - r.want; late < 0 || late > tick {
				t.Errorf("a timer of %v fired after %v", r.want, r.got)
			}
		}
		if fired != n {
			t.Errorf("%d timers fired, want %d", fired, n)
		}
		w.table.wheel.mu.Lock()
		defer w.table.wheel.mu.Unlock()
		if w.table.wheel.alarm != 1<<63-1 {
			t.Error("the goroutine does not sleep although there is nothing to do")
		}
	})
}

func TestTimerStopAndReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, transport.UDP, Options{})
		note := func(s string) func() { return func() { w.note("%s", s) } }
		check := func(what string, got, want bool) {
			t.Helper()
			if got != want {
				t.Errorf("%s: %v, want %v", what, got, want)
			}
		}
		stopped := w.table.AfterFunc(time.Second, note("stopped"))
		check("stopping a timer", stopped.Stop(), true)
		check("stopping it again", stopped.Stop(), false)
		later := w.table.AfterFunc(time.Second, note("later"))
		check("moving a timer", later.Reset(50*time.Second), true)
		earlier := w.table.AfterFunc(time.Hour, note("earlier"))
		check("moving a timer", earlier.Reset(2*time.Second), true)
		again := w.table.AfterFunc(3*time.Second, note("again"))
		w.table.AfterFunc(0, note("now"))
		w.table.AfterFunc(-time.Second, note("before now"))
		// Of two timers in the same tick the one that fires first stops the other.
		var a, b *Timer
		w.mu.Lock() // note has it before they are read
		a = w.table.AfterFunc(4*time.Second, func() { w.note("one of two"); b.Stop() })
		b = w.table.AfterFunc(4*time.Second, func() { w.note("one of two"); a.Stop() })
		w.mu.Unlock()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		check("stopping a timer that fired", again.Stop(), false)
		check("starting a timer that fired", again.Reset(time.Second), false)
		time.Sleep(time.Hour)
		synctest.Wait()
		want := []string{"2s earlier", "3s again", "4s one of two", "6s again", "50s later"}
		var got []string
		for _, line := range w.trace {
			if line != "0s now" && line != "10ms now" && line != "0s before now" && line != "10ms before now" {
				got = append(got, line)
			}
		}
		if !slices.Equal(got, want) || len(w.trace) != len(want)+2 {
			t.Errorf("got %q, want %q and two at once", w.trace, want)
		}
	})
}

func TestPanicInCallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var values []string
		w := newWorld(t, transport.UDP, Options{Recovered: func(v any) { values = append(values, fmt.Sprint(v)) }})
		w.table.AfterFunc(time.Second, func() { panic("timer") })
		m := view(t, requestText("INVITE", branch))
		if _, err := w.table.NewServer(m, w.flow, peer, nil, bombServer{}); err != nil {
			t.Fatal(err)
		}
		w.step("INVITE", "recv CANCEL")
		c, err := w.table.NewClient(requestText("INVITE", branch), w.flow, bombClient{}, nil, ClientOptions{})
		if err != nil {
			t.Fatal(err)
		}
		w.step("INVITE", "recv 180")
		w.step("INVITE", "recv 183")
		c.Cancel(nil, nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		// The server transaction has no end: nobody answers it.
		want := []string{"OnCancel", "180", "183", "timer", "OnFailure and OnTerminated"}
		if !slices.Equal(values, want) {
			t.Errorf("got %q, want %q", values, want)
		}
		fired := false
		w.table.AfterFunc(time.Second, func() { fired = true })
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !fired {
			t.Error("no timer fires after a panic")
		}
	})
}
