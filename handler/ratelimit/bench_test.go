package ratelimit

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/engine"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/module/moduletest"
)

func handler(t testing.TB, events int) *RateLimit {
	h := &RateLimit{
		id:      zoneID{t.Name(), sourceKey, events, time.Hour},
		engine:  engine.New(),
		limited: prometheus.NewCounter(prometheus.CounterOpts{Name: "x"}),
		log:     limitedLog{logger: zap.NewNop()},
	}
	h.zone, h.pooled = openZone(h.id), true
	t.Cleanup(func() {
		if err := h.Cleanup(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func TestAllocatesNothing(t *testing.T) {
	for _, events := range []int{1, 1_000_000_000} {
		h := handler(t, events)
		r := moduletest.Request(t, moduletest.Invite)
		var w moduletest.Recorder
		var next moduletest.Next
		var serve module.Next = next.Serve
		if n := testing.AllocsPerRun(100, func() { _ = h.ServeSIP(&w, r, serve) }); n != 0 {
			t.Errorf("with %d events in the window a request allocates %v times", events, n)
		}
	}
}

// BenchmarkRateLimit is what the handler adds to a request, within the limit and over it.
func BenchmarkRateLimit(b *testing.B) {
	for name, events := range map[string]int{"within": 1_000_000_000, "over": 1} {
		b.Run(name, func(b *testing.B) {
			h := handler(b, events)
			r := moduletest.Request(b, moduletest.Invite)
			var w moduletest.Recorder
			var next moduletest.Next
			var serve module.Next = next.Serve
			b.ReportAllocs()
			for b.Loop() {
				if err := h.ServeSIP(&w, r, serve); err != nil {
					b.Fatal(err)
				}
			}
			if want := map[bool]int{true: b.N, false: 1}[name == "within"]; next.Calls != want {
				b.Errorf("next was called %d times, want %s", next.Calls, fmt.Sprint(want))
			}
		})
	}
}
