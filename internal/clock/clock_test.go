package clock

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestSet sets the system's clock while a Clock goes on.
func TestSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var offset time.Duration
		c := FromWall(func() time.Time { return time.Now().Add(offset) })
		start := c.Now()
		var want time.Duration // how far the wall time is ahead
		for _, step := range []struct {
			set, told, want time.Duration
		}{
			{0, 0, 0},
			{time.Hour, time.Hour, time.Hour},
			{0, 0, time.Hour},
			{-2 * time.Hour, -2 * time.Hour, -time.Hour},
			{Tolerance - 1, 0, -time.Hour}, // not worth it
			{1, Tolerance, -time.Hour + Tolerance},
			{56 * 365 * 24 * time.Hour, 56 * 365 * 24 * time.Hour, 56*365*24*time.Hour - time.Hour + Tolerance},
			{1400 * time.Millisecond, 1400 * time.Millisecond, 56*365*24*time.Hour - time.Hour + 2*time.Second},
		} {
			time.Sleep(time.Second)
			offset += step.set
			by, set := c.Check()
			if by != step.told || set != (step.told != 0) {
				t.Errorf("the clock was set by %v, and Check says %v, %v", step.set, by, set)
			}
			want = step.want
			now := c.Now()
			if got := c.ToWall(now).Sub(now); got != want {
				t.Errorf("after it was set by %v the wall time is %v ahead, want %v", step.set, got, want)
			}
			if back := c.FromWall(c.ToWall(now)); !back.Equal(now) {
				t.Errorf("%v and back is %v", now, back)
			}
		}
		now := c.Now()
		if took := now.Sub(start); took != 8*time.Second {
			t.Errorf("8 seconds took %v", took)
		}
		if now.UnixNano() != c.UnixNano() || now.Unix() != int64(c.Unix()) {
			t.Errorf("it is %v, %d and %d", now, c.UnixNano(), c.Unix())
		}
		if never := (time.Time{}); !c.ToWall(never).IsZero() || !c.FromWall(never).IsZero() {
			t.Error("what never ends does")
		}
	})
}
