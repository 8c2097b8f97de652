package events

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddysip/caddysip/internal/budget"
)

// counted counts how often it is put into words.
type counted struct {
	size      int
	described atomic.Int32
}

func (c *counted) Describe() map[string]any {
	c.described.Add(1)
	return map[string]any{"aor": "101@example.com", "text": strings.Repeat("x", c.size)}
}
func (c *counted) Size() int { return c.size }

// TestBytes has events of many sizes: the oldest go when there are too many bytes, and all is given
// back in the end.
func TestBytes(t *testing.T) {
	memory := new(budget.Budget)
	b := New(memory)
	s := b.Subscribe(0)
	const size = MaxBytes / 100
	for range 150 {
		b.PublishDescriber(Registered, &counted{size: size})
	}
	if got := memory.Used(budget.Events); got > int64(MaxBytes+ringBytes) || got < MaxBytes {
		t.Errorf("it takes %d bytes", got)
	}
	if n := s.Skip(); n != 50 {
		t.Errorf("of 150 events of 1 %% each %d are forgotten", n)
	}
	if e := mustNext(t, s); e.ID != b.Last()-99 || e.Map()["aor"] != "101@example.com" {
		t.Errorf("the oldest is %d of %d", e.ID, b.Last())
	}
	// One that is larger than all room is not remembered, and readers learn that they have missed
	// it.
	b.PublishDescriber(Registered, &counted{size: MaxBytes + 1})
	if _, err := s.Next(t.Context()); err != ErrBehind {
		t.Errorf("after an event that is too large: %v", err)
	}
	s.Skip()
	b.PublishDescriber(Registered, &counted{size: 1})
	if e := mustNext(t, s); e.ID != b.Last() {
		t.Errorf("it goes on with %d of %d", e.ID, b.Last())
	}
	b.Close()
	s.Close()
	if memory.Total() != 0 {
		t.Errorf("after the end: %s", memory)
	}
}

// TestTexts publishes long texts: they are cut, so that what is remembered is bounded whoever
// publishes.
func TestTexts(t *testing.T) {
	memory := new(budget.Budget)
	b := New(memory)
	s := b.Subscribe(0)
	defer s.Close()
	for i := range 2 * Remembered {
		b.Publish(KeyPressed, map[string]any{"aor": "101@example.com", "key": i, "number": "\x1b" + strings.Repeat("9", 60_000)})
	}
	if got := memory.Used(budget.Events); got > int64(MaxBytes+ringBytes) {
		t.Errorf("it takes %d bytes", got)
	}
	s.Skip()
	e := mustNext(t, s)
	if got := e.Map()["number"].(string); len(got) != MaxText || !strings.HasPrefix(got, "?99") || !strings.HasSuffix(got, "…") {
		t.Errorf("the number is %.20q with %d bytes", got, len(got))
	}
}

// TestCeiling has others take nearly all memory: the ring gets along with less.
func TestCeiling(t *testing.T) {
	memory := new(budget.Budget)
	memory.SetCeiling(64 << 20) // of which events get 2 MiB
	b := New(memory)
	s := b.Subscribe(0)
	defer s.Close()
	const size = 64 << 10
	publish := func(n int) {
		for range n {
			b.PublishDescriber(Registered, &counted{size: size})
		}
	}
	publish(50)
	if got := memory.Used(budget.Events); got > 2<<20 || got < 1<<20 {
		t.Errorf("of its share of 2 MiB it takes %d bytes", got)
	}
	memory.Force(budget.Bindings, 64<<20)
	publish(1)
	if got := memory.Used(budget.Events); got != int64(ringBytes) {
		t.Errorf("with no memory left it takes %d bytes", got)
	}
	memory.Release(budget.Bindings, 64<<20)
	s.Skip()
	publish(1)
	if e := mustNext(t, s); e.ID != b.Last() {
		t.Errorf("it goes on with %d of %d", e.ID, b.Last())
	}
}

// TestJSON has many read: an event is put into words for the first of them, and for nobody when
// there is nobody.
func TestJSON(t *testing.T) {
	memory := new(budget.Budget)
	b := New(memory)
	var all []*counted
	publish := func(n, size int) {
		for range n {
			c := &counted{size: size}
			all = append(all, c)
			b.PublishDescriber(Registered, c)
		}
	}
	publish(10, 10)
	const readers = 8
	var subs []*Subscription
	for range readers {
		subs = append(subs, b.Subscribe(0))
	}
	publish(200, 1000)
	read := func(shared bool) {
		var wg sync.WaitGroup
		var first sync.Map
		for _, s := range subs {
			wg.Go(func() {
				for s.More() {
					e := mustNext(t, s)
					got, err := s.JSON(&e)
					if want := `{"aor":"101@example.com","text":"x`; err != nil || !strings.HasPrefix(string(got), want) ||
						!strings.Contains(string(got), `,"time":"2`) || !strings.HasSuffix(string(got), `,"type":"registered"}`) {
						t.Errorf("event %d is %.100s…, %v", e.ID, got, err)
					}
					if other, there := first.LoadOrStore(e.ID, &got[0]); there && shared && other != &got[0] {
						t.Errorf("event %d is in memory twice", e.ID)
					}
				}
			})
		}
		wg.Wait()
	}
	read(true)
	for i, c := range all {
		if n := c.described.Load(); n != min(int32(i/10), 1) {
			t.Errorf("event %d was put into words %d times", i, n)
		}
	}
	// What is kept of that is bounded too, as is a text that is too long to keep.
	publish(20, 100_000)
	publish(1, maxTexts)
	read(false) // some are behind, and make again what has gone
	if got := b.texts.bytes; got > maxTexts || got < maxTexts/2 {
		t.Errorf("%d bytes of JSON are kept", got)
	}
	for _, s := range subs {
		s.Close()
	}
	if used := memory.Used(budget.Events); b.texts.bytes != 0 || used != int64(b.bytes)+int64(ringBytes) {
		t.Errorf("when all have gone %d bytes of JSON are kept, and %d in all", b.texts.bytes, used)
	}
	b.Close()
	if memory.Total() != 0 {
		t.Errorf("after the end: %s", memory)
	}
}

// BenchmarkJSON is what a reader costs, of one that is alone and one of a hundred.
func BenchmarkJSON(b *testing.B) {
	for _, readers := range []int{1, 100} {
		b.Run(fmt.Sprint(readers), func(b *testing.B) {
			bus := New(nil)
			var subs []*Subscription
			for range readers {
				s := bus.Subscribe(0)
				defer s.Close()
				subs = append(subs, s)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				s := subs[i%readers]
				if i%readers == 0 {
					bus.Publish(KeyPressed, map[string]any{"aor": "101@example.com", "key": 1, "number": "9"})
				}
				e, err := s.Next(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				if _, err := s.JSON(&e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
