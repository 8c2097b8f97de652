package delivery

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/caddysip/caddysip/internal/sip/uac"
)

func TestBatch(t *testing.T) {
	inWorld(t, func(w *world) {
		w.d.Configure(Settings{Batch: true})
		w.set(alice, strings.Repeat("x", 200), 1, 2, 3, 4, 5, 6)
		w.answer(func(m message) (int, time.Duration) {
			if len(m.text) > uac.MaxDatagram {
				t.Errorf("a datagram of %d bytes", len(m.text))
			}
			return 200, 0
		})
		w.register(registration{})
		got := w.got()
		if len(got) != 2 || strings.Count(got[0], "k=") != 4 || strings.Count(got[1], "k=") != 2 {
			t.Errorf("%q", got)
		}
		w.state(alice, StateCurrent)
		w.set(alice, "A", 2, 5)
		w.expect("k=2 c=on l=A  k=5 c=on l=A")
	})
}

// TestLargeKey sets keys that each fill more than a datagram should have: they go one by one.
func TestLargeKey(t *testing.T) {
	inWorld(t, func(w *world) {
		w.d.Configure(Settings{Batch: true})
		label := strings.Repeat("x", uac.MaxDatagram)
		w.set(alice, label, 1, 2)
		w.register(registration{})
		w.expect("k=1 c=on l="+label, "k=2 c=on l="+label)
		w.state(alice, StateCurrent)
	})
}

func TestWait(t *testing.T) {
	inWorld(t, func(w *world) {
		if got := w.d.Wait(context.Background(), alice, 1); len(got) != 0 {
			t.Errorf("nobody is registered: %+v", got)
		}
		w.register(registration{})
		w.register(registration{contact: "sip:101@192.0.2.9", userAgent: "other"})
		w.expect()
		w.answer(func(message) (int, time.Duration) { return 200, 3 * time.Second })
		w.set(alice, "A", 1)
		start := time.Now()
		got := w.d.Wait(context.Background(), alice, 1)
		if len(got) != 1 || !got[0].Acknowledged || got[0].Status != 200 || time.Since(start) < 3*time.Second {
			t.Errorf("%+v after %v", got, time.Since(start))
		}
		// For the newest record, when another one is on its way.
		w.set(alice, "B", 1)
		time.Sleep(time.Second)
		w.set(alice, "C", 1)
		start = time.Now()
		got = w.d.Wait(context.Background(), alice, 1)
		if len(got) != 1 || !got[0].Acknowledged || time.Since(start) < 5*time.Second {
			t.Errorf("%+v after %v", got, time.Since(start))
		}
		w.answer(func(message) (int, time.Duration) { return 488, 0 })
		w.set(alice, "D", 1)
		if got = w.d.Wait(context.Background(), alice, 1); len(got) != 1 || got[0].Acknowledged || got[0].Status != 488 || got[0].Error == "" {
			t.Errorf("%+v", got)
		}
		w.answer(func(message) (int, time.Duration) { return 0, 0 })
		w.set(alice, "", 1)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if got = w.d.Wait(ctx, alice, 1); len(got) != 1 || got[0].Acknowledged || got[0].Status != 0 || got[0].Error != "" {
			t.Errorf("%+v", got)
		}
	})
}
