package events

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
)

func mustNext(t *testing.T, s *Subscription) Event {
	t.Helper()
	e, err := s.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestOrder(t *testing.T) {
	b := New(nil)
	b.Publish("before", nil)
	s := b.Subscribe(0)
	defer s.Close()
	for i := range 3 {
		b.Publish(KeyChanged, map[string]any{"i": i})
	}
	var first uint64
	for i := range 3 {
		e := mustNext(t, s)
		if i == 0 {
			first = e.ID
		}
		if e.Type != KeyChanged || e.Map()["i"] != i || e.ID != first+uint64(i) || e.Time.IsZero() {
			t.Errorf("event %d is %+v", i, e)
		}
	}
	if b.Last() != first+2 || s.Last() != b.Last() || first >= 1<<53 {
		t.Errorf("the last is %d, read %d, the first was %d", b.Last(), s.Last(), first)
	}
	// Whoever comes back gets what he has missed, and nothing twice.
	again := b.Subscribe(first)
	defer again.Close()
	if e := mustNext(t, again); e.ID != first+1 {
		t.Errorf("after %d comes %d", first, e.ID)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if e, err := s.Next(ctx); err != context.Canceled {
		t.Errorf("there is one more: %+v, %v", e, err)
	}
}

func TestBehind(t *testing.T) {
	b := New(nil)
	start := b.Last()
	s := b.Subscribe(0)
	defer s.Close()
	for i := range Remembered {
		b.Publish(Registered, map[string]any{"i": i})
	}
	if e := mustNext(t, s); e.ID != start+1 {
		t.Errorf("the first of %d is %d, want %d", Remembered, e.ID, start+1)
	}
	b.Publish(Registered, nil)
	b.Publish(Registered, nil)
	if e, err := s.Next(t.Context()); err != ErrBehind {
		t.Fatalf("after one event was forgotten it reads %+v, %v", e, err)
	}
	if n := s.Skip(); n != 1 {
		t.Errorf("%d were lost, want 1", n)
	}
	if e := mustNext(t, s); e.ID != start+3 {
		t.Errorf("it goes on with %d, want %d", e.ID, start+3)
	}
	for _, after := range []uint64{1, start - 1, b.Last() + 5} {
		other := b.Subscribe(after)
		if e, err := other.Next(t.Context()); err != ErrBehind {
			t.Errorf("after %d it reads %+v, %v", after, e, err)
		}
		other.Skip()
		if e := mustNext(t, other); e.ID != b.Last()-Remembered+1 {
			t.Errorf("then it goes on with %d", e.ID)
		}
		other.Close()
	}
}

// TestSkipNothing has a reader that is not behind, but of a process whose clock was ahead: nothing that it
// could have read is lost.
func TestSkipNothing(t *testing.T) {
	b := New(nil)
	defer b.Close()
	s := b.Subscribe(b.Last() + 1000)
	defer s.Close()
	if !s.Behind() {
		t.Error("it is told to wait for events that are not to come")
	}
	if lost := s.Skip(); lost != 0 || s.Behind() {
		t.Errorf("%d events are lost", lost)
	}
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(nil)
		s := b.Subscribe(0)
		done := make(chan error)
		go func() {
			_, err := s.Next(t.Context())
			done <- err
			_, err = s.Next(t.Context())
			done <- err
		}()
		synctest.Wait()
		b.Publish(KeyPressed, nil)
		if err := <-done; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		b.Close()
		if err := <-done; err != ErrClosed {
			t.Errorf("a closed bus gives %v", err)
		}
		last := b.Last()
		if b.Publish(KeyPressed, nil); b.Last() != last {
			t.Error("a closed bus takes events")
		}
		s.Close()
		s.Close()
		if len(b.readers) != 0 {
			t.Error("a subscription stays")
		}
	})
}

// TestConcurrent has many publish and read: each reader sees each event once and in order, or
// learns that he is behind.
func TestConcurrent(t *testing.T) {
	b := New(nil)
	var readers, writers sync.WaitGroup
	for range 4 {
		s := b.Subscribe(0)
		readers.Go(func() {
			defer s.Close()
			last := s.Last()
			for {
				e, err := s.Next(t.Context())
				if err == ErrBehind {
					last += s.Skip()
					continue
				}
				if err != nil {
					break
				}
				if e.ID != last+1 {
					t.Errorf("after %d comes %d", last, e.ID)
				}
				last = e.ID
			}
			if last != b.Last() {
				t.Errorf("the last seen is %d of %d", last, b.Last())
			}
		})
	}
	for range 4 {
		writers.Go(func() {
			for range 10_000 {
				b.Publish(Registered, nil)
			}
		})
	}
	writers.Wait()
	b.Close()
	readers.Wait()
}

type nothing struct{}

func (*nothing) Describe() map[string]any { return nil }
func (*nothing) Size() int                { return 100 }

// BenchmarkPublish is what a phone's registration costs beside the registration itself.
func BenchmarkPublish(b *testing.B) {
	bus := New(nil)
	d := new(nothing)
	b.ReportAllocs()
	for b.Loop() {
		bus.PublishDescriber(Registered, d)
	}
}

func TestPublishAllocatesNothing(t *testing.T) {
	bus := New(nil)
	d := new(nothing)
	bus.PublishDescriber(Registered, d)
	if n := testing.AllocsPerRun(100, func() { bus.PublishDescriber(Registered, d) }); n != 0 {
		t.Errorf("an event makes %v allocations", n)
	}
}
