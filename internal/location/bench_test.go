package location

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
)

// heap returns the bytes of live heap. A first collection may leave what had finalizers or was
// interned.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func heapPerBinding(tb testing.TB, n int) float64 {
	before := heap()
	s := newStore(tb, Options{})
	fill(tb, s, n)
	wantLen(tb, s, n, n)
	after := heap()
	runtime.KeepAlive(s)
	return float64(after-before) / float64(n)
}

func TestMemory(t *testing.T) {
	if got := heapPerBinding(t, 100_000); got > 320 {
		t.Fatalf("a registration takes %.0f bytes of heap", got)
	}
}

func TestAllocations(t *testing.T) {
	s := newStore(t, Options{})
	fill(t, s, 100)
	u := phone(t, 7)
	found := make([]*Binding, 0, 4)
	if n := testing.AllocsPerRun(100, func() { found = s.Lookup(u.AOR, found[:0]) }); n != 0 {
		t.Errorf("Lookup makes %.0f allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { s.Registered(u.AOR) }); n != 0 {
		t.Errorf("Registered makes %.0f allocations", n)
	}
	var r Result
	refresh := func() {
		u.CSeq++
		if err := s.Update(u, &r); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(100, refresh); n != 1 {
		t.Errorf("a refresh makes %.0f allocations", n)
	}
}

// BenchmarkMemory reports what a million registrations take, and how long a first registration
// does.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		b.ReportMetric(heapPerBinding(b, 1_000_000), "heap-B/registration")
	}
}

func updates(b *testing.B, n int) (*Store, []*Update) {
	s := newStore(b, Options{})
	fill(b, s, n)
	list := make([]*Update, n)
	for i := range list {
		list[i] = phone(b, i)
	}
	return s, list
}

func BenchmarkRefresh(b *testing.B) {
	for _, n := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, list := updates(b, n)
			var r Result
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				u := list[i%n]
				i++
				u.CSeq++
				if err := s.Update(u, &r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRefreshNewCallID(b *testing.B) {
	s, list := updates(b, 10_000)
	var r Result
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		u := list[i%len(list)]
		i++
		u.CallID[0] ^= 1
		if err := s.Update(u, &r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	s, list := updates(b, 10_000)
	found := make([]*Binding, 0, 4)
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		found = s.Lookup(list[i%len(list)].AOR, found[:0])
		i++
	}
}

func BenchmarkLookupParallel(b *testing.B) {
	s, list := updates(b, 10_000)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		found := make([]*Binding, 0, 4)
		for i := 0; pb.Next(); i++ {
			found = s.Lookup(list[i%len(list)].AOR, found[:0])
		}
	})
}

// BenchmarkExpire is how long the sweeper holds a shard's lock with a million registrations none of
// which is over.
func BenchmarkExpire(b *testing.B) {
	s := newStore(b, Options{})
	fill(b, s, 1_000_000)
	now := s.now().floor()
	i := 0
	for b.Loop() {
		s.expire(&s.shards[i%shardCount], now, nil)
		i++
	}
}

func BenchmarkRangePage(b *testing.B) {
	s := newStore(b, Options{})
	fill(b, s, 100_000)
	for b.Loop() {
		s.Range("user0050000@example.com", 100, func(string, []*Binding) bool { return true })
	}
}

// BenchmarkManyContacts refreshes one of many Contacts of a user, and sets one anew under another
// Call-ID.
func BenchmarkManyContacts(b *testing.B) {
	const n = 400
	s := newStore(b, Options{})
	list := make([]*Update, n)
	var r Result
	for i := range list {
		u := update(fmt.Sprint("call", i), 1, contact(b, fmt.Sprintf("sip:alice@192.0.2.%d:5060;line=%d", 1+i%250, i)))
		u.Flow.Remote = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + i%250)}), uint16(5000+i))
		list[i] = u
		if err := s.Update(u, &r); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("refresh", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			u := list[i%n]
			u.CSeq++
			if err := s.Update(u, &r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("new call", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			u := list[i%n]
			u.CallID = fmt.Appendf(u.CallID[:0], "other%d", i)
			if err := s.Update(u, &r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("new contact", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			u := update("new", uint32(i+1), contact(b, fmt.Sprintf("sip:alice@192.0.2.251:%d", 1024+i%60000)))
			u.Contacts[0].Expires = uint32(i) % 2 * 600 // removed again, whatever it is
			if err := s.Update(u, &r); err != nil {
				b.Fatal(err)
			}
		}
	})
}
