package ratelimit

import (
	"fmt"
	"math"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"
)

// numbered returns one of the IPv4 addresses.
func numbered(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

func TestLimit(t *testing.T) {
	tb := New(Limit{Events: 3, Window: 3 * time.Second})
	now := tb.start.Add(time.Hour)
	key, other := tb.Key("alice"), tb.Key("bob")
	want := func(what string, key uint64, results ...Result) {
		t.Helper()
		for i, want := range results {
			if got := tb.Count(key, now); got != want {
				t.Errorf("%s, event %d: %d, want %d", what, i, got, want)
			}
		}
	}
	want("a burst", key, Within, Within, Within, Exceeded, Over, Over)
	want("another source", other, Within)
	if w := tb.Wait(key, now); w != time.Second {
		t.Errorf("Wait = %v, want 1s", w)
	}
	if w := tb.Wait(other, now); w != 0 {
		t.Errorf("Wait = %v for who has room", w)
	}
	now = now.Add(time.Second - time.Microsecond)
	want("just before there is room", key, Over)
	now = now.Add(time.Microsecond)
	want("room for one", key, Within, Over)
	now = now.Add(2 * time.Second)
	want("room for two", key, Within, Within, Over)
	now = now.Add(3 * time.Second)
	if w := tb.Wait(key, now); w != 0 {
		t.Errorf("Wait = %v at rest", w)
	}
	want("after a rest", key, Within, Within, Within, Exceeded)
	if w := tb.Wait(tb.Key("nobody"), now); w != 0 {
		t.Errorf("Wait = %v for who was never there", w)
	}
}

func TestOneEvent(t *testing.T) {
	tb := New(Limit{Events: 1, Window: time.Minute})
	now := tb.start
	if !tb.Allow(1<<50, now) || tb.Allow(1<<50, now.Add(59*time.Second)) || !tb.Allow(1<<50, now.Add(time.Minute)) {
		t.Error("one event a minute is not one event a minute")
	}
}

func TestValidate(t *testing.T) {
	for l, want := range map[Limit]bool{
		{50, time.Second}:            true,
		{1, time.Millisecond}:        true,
		{1_000_000, time.Second}:     true,
		{1_000_001, time.Second}:     false,
		{0, time.Second}:             false,
		{-1, time.Second}:            false,
		{1, 0}:                       false,
		{1, -time.Second}:            false,
		{1, 366 * 24 * time.Hour}:    false,
		{math.MaxInt32, time.Minute}: false,
		{20, 365 * 24 * time.Hour}:   true,
	} {
		if err := l.Validate(); (err == nil) != want {
			t.Errorf("%+v: %v", l, err)
		}
	}
}

func TestAddrKey(t *testing.T) {
	tb := New(Limit{1, time.Second})
	key := func(s string) uint64 { return tb.AddrKey(netip.MustParseAddr(s)) }
	for _, same := range [][2]string{{"192.0.2.1", "::ffff:192.0.2.1"}, {"2001:db8::1", "2001:db8::ffff:2"},
		{"fe80::1%1", "fe80::1%2"}} {
		if key(same[0]) != key(same[1]) {
			t.Errorf("%s and %s are two sources", same[0], same[1])
		}
	}
	for _, two := range [][2]string{{"192.0.2.1", "192.0.2.2"}, {"2001:db8::1", "2001:db8:0:1::1"},
		{"192.0.2.1", "::1"}, {"fe80::1%1", "fe80::2%1"}} {
		if key(two[0]) == key(two[1]) {
			t.Errorf("%s and %s are one source", two[0], two[1])
		}
	}
	if other := New(Limit{1, time.Second}); other.AddrKey(netip.MustParseAddr("192.0.2.1")) == key("192.0.2.1") {
		t.Error("two tables have the same seed")
	}
}

func TestSize(t *testing.T) {
	if size := sets * unsafe.Sizeof(set{}); size > 2_250_000 || Sources < 1<<17 {
		t.Errorf("%d bytes for %d sources", size, Sources)
	}
	tb := New(Limit{50, time.Second})
	addr := netip.MustParseAddr("192.0.2.1")
	i := uint64(0)
	allocated := testing.AllocsPerRun(100_000, func() {
		i++
		tb.Allow(i*0x9E3779B97F4A7C15, tb.start)
		tb.AddrKey(addr)
		tb.Key("alice")
	})
	if allocated != 0 {
		t.Errorf("an event of a new source allocates %v times", allocated)
	}
}

// TestSpray has one source send more than it may while others, each of which sends little, try to
// push it out of the table.
func TestSpray(t *testing.T) {
	for _, tc := range []struct {
		name   string
		limit  Limit
		rate   int // of the source
		spray  int // new sources a second, each with one event
		during time.Duration
	}{
		{"a flood among a million sources a second", Limit{50, time.Second}, 500, 1_000_000, time.Second},
		{"guessing passwords among 10,000 sources a second", Limit{20, time.Minute}, 1, 10_000, time.Minute},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tb := New(tc.limit)
			key := tb.Key("the source")
			allowed, sprayed := 0, uint32(0)
			gap := time.Second / time.Duration(tc.rate)
			for at := time.Duration(0); at < tc.during; at += gap {
				if tb.Allow(key, tb.start.Add(at)) {
					allowed++
				}
				n := tc.spray / tc.rate
				for i := range n {
					sprayed++
					tb.Allow(tb.AddrKey(numbered(sprayed)), tb.start.Add(at+gap*time.Duration(i)/time.Duration(n)))
				}
			}
			most := tc.limit.Events + tc.limit.Events*int(tc.during/tc.limit.Window)
			t.Logf("%d of %d events allowed, %d are", allowed, int(tc.during.Seconds())*tc.rate, most)
			if allowed > most+tc.limit.Events/10 {
				t.Errorf("%d events were allowed, not at most %d: it was pushed out", allowed, most)
			}
		})
	}
}

// TestManyFloods has as many sources at once over the limit as half of the table holds.
func TestManyFloods(t *testing.T) {
	const sources, rate, seconds = Sources / 2, 20, 1
	limit := Limit{5, time.Second}
	tb := New(limit)
	keys := make([]uint64, sources)
	for i := range keys {
		keys[i] = tb.Key(fmt.Sprint(i))
	}
	allowed := 0
	for step := range rate * seconds {
		now := tb.start.Add(time.Duration(step) * time.Second / rate)
		for _, key := range keys {
			if tb.Allow(key, now) {
				allowed++
			}
		}
	}
	most := sources * limit.Events * (1 + seconds)
	t.Logf("%d of %d events allowed, %d are", allowed, sources*rate*seconds, most)
	if allowed > most+most/10 {
		t.Errorf("%d events were allowed, not at most %d", allowed, most)
	}
}

func TestConcurrent(t *testing.T) {
	tb := New(Limit{1000, time.Hour})
	now := time.Now()
	key := tb.Key("alice")
	var allowed atomic.Int64
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 1000 {
				if tb.Allow(key, now) {
					allowed.Add(1)
				}
				tb.Allow(uint64(g*1000+i)<<40, now)
				tb.Wait(key, now)
			}
		})
	}
	wg.Wait()
	if n := allowed.Load(); n != 1000 {
		t.Errorf("%d events were allowed, not 1000", n)
	}
}

func BenchmarkAllow(b *testing.B) {
	for _, sources := range []int{1, 1_000_000} {
		b.Run(fmt.Sprint(sources), func(b *testing.B) {
			tb := New(Limit{50, time.Second})
			addrs := make([]netip.Addr, sources)
			for i := range addrs {
				addrs[i] = numbered(uint32(i))
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				tb.Allow(tb.AddrKey(addrs[i%sources]), time.Now())
				i++
			}
		})
	}
}
