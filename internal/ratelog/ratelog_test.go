package ratelog

import (
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// TestInterval has a gate that opens once a minute.
func TestInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := Gate{Interval: time.Minute}
		for _, step := range []struct {
			after      time.Duration
			suppressed uint64
			open       bool
		}{
			{0, 0, true}, {time.Second, 0, false}, {59*time.Second - 1, 0, false}, {1, 2, true},
		} {
			time.Sleep(step.after)
			if n, ok := g.Open(); n != step.suppressed || ok != step.open {
				t.Errorf("%v later it is open: %v, with %d suppressed", step.after, ok, n)
			}
		}
	})
}

// TestClockSet checks that a gate opens once a minute, however the system's clock is set.
func TestClockSet(t *testing.T) {
	g := Gate{Interval: time.Minute}
	now := int64(time.Hour)
	for _, step := range []struct {
		set  time.Duration
		open bool
	}{
		{0, true}, {time.Minute - 1, false}, {-time.Hour, true}, {0, false}, {time.Minute - 1, false},
		{1, true}, {time.Hour, true}, {time.Minute / 2, false}, {-time.Second, false}, {-time.Hour, true},
	} {
		now += int64(step.set)
		if _, ok := g.open(now); ok != step.open {
			t.Errorf("%v later it is open: %v", step.set, ok)
		}
	}
}

// TestGate logs a flood: one entry a second, which says how many are not there.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zapcore.InfoLevel)
		log := zap.New(core)
		var g, other Gate
		for range 2500 {
			g.Log(log, zapcore.WarnLevel, "flood", zap.Int("n", 1))
			time.Sleep(time.Millisecond)
		}
		other.Log(log, zapcore.InfoLevel, "another")
		g.Log(log, zapcore.DebugLevel, "nobody reads it")
		time.Sleep(time.Second)
		g.Log(log, zapcore.WarnLevel, "flood", zap.Int("n", 2))
		g.Log(log, zapcore.WarnLevel, "flood", zap.Int("n", 3))

		var got []any
		for _, e := range logs.AllUntimed() {
			got = append(got, e.Message, e.ContextMap()["suppressed"])
		}
		want := []any{"flood", nil, "flood", uint64(999), "flood", uint64(999), "another", nil, "flood", uint64(499)}
		if len(got) != len(want) {
			t.Fatalf("got %v", got)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%d: got %v, want %v", i, got[i], want[i])
			}
		}
	})
}
