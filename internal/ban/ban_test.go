package ban

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/internal/ipset"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func TestBan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []netip.Prefix
		l := New(Options{OnBan: func(p netip.Prefix) { told = append(told, p) }})
		check := func(what string, banned bool, list ...string) {
			t.Helper()
			for _, a := range list {
				if l.Banned(addr(a)) != banned {
					t.Errorf("%s: banned(%s) = %v", what, a, !banned)
				}
			}
		}
		check("empty", false, "192.0.2.1", "2001:db8::1")
		if !l.Ban(addr("192.0.2.1"), time.Minute, "flood") || !l.Ban(addr("2001:db8::1"), 2*time.Minute, "flood") {
			t.Error("a new ban is not new")
		}
		if want := []netip.Prefix{prefix("192.0.2.1/32"), prefix("2001:db8::/64")}; !slices.Equal(told, want) {
			t.Errorf("told of %v, want %v", told, want)
		}
		// The same address in its other forms, and an IPv6 host's other addresses.
		check("banned", true, "192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "2001:db8::ffff:1:2:3", "2001:db8::1%eth0")
		check("others", false, "192.0.2.2", "2001:db8:0:1::1", "::192.0.2.1", "127.0.0.1")

		time.Sleep(time.Minute)
		check("after its time", false, "192.0.2.1")
		check("before its time", true, "2001:db8::1")
		if n := l.Len(); n != 1 {
			t.Errorf("Len = %d, want 1", n)
		}
		if !l.Unban(addr("2001:db8::2")) || l.Unban(addr("2001:db8::2")) || l.Unban(addr("192.0.2.1")) {
			t.Error("Unban tells otherwise than what there was")
		}
		check("unbanned", false, "2001:db8::1")
		if l.size.Load() != 0 || len(*l.lengths[0].Load())+len(*l.lengths[1].Load()) != 0 {
			t.Error("the list is empty, but look-ups don't know it")
		}
	})
}

func TestLongerBanStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{})
		a := addr("192.0.2.1")
		since := time.Now()
		l.Ban(a, time.Hour, "by hand")
		time.Sleep(time.Second)
		if l.Ban(a, time.Minute, "flood") {
			t.Error("it was banned already")
		}
		if e, ok := l.Get(ipset.Source(a)); !ok || e.Reason != "by hand" || !e.Until.Equal(since.Add(time.Hour)) {
			t.Errorf("a shorter ban changed the longer one: %+v", e)
		}
		l.Ban(a, 2*time.Hour, "flood")
		if e, _ := l.Get(ipset.Source(a)); e.Reason != "flood" || !e.Since.Equal(since) ||
			!e.Until.Equal(time.Now().Add(2*time.Hour)) {
			t.Errorf("a longer ban is not in force: %+v", e)
		}
		l.Set(ipset.Source(a), time.Minute, "shorter")
		if e, _ := l.Get(ipset.Source(a)); e.Reason != "shorter" || !e.Until.Equal(time.Now().Add(time.Minute)) {
			t.Errorf("Set did not say the last word: %+v", e)
		}
		if l.Len() != 1 {
			t.Errorf("%d bans of one source", l.Len())
		}
		if l.Ban(a, 0, "") || l.Ban(netip.Addr{}, time.Hour, "") || l.Len() != 1 {
			t.Error("banned nobody, or for no time")
		}
	})
}

func TestPrefix(t *testing.T) {
	l := New(Options{})
	l.Set(prefix("198.51.100.77/24"), time.Hour, "")
	l.Set(prefix("2001:db8::1/128"), time.Hour, "")
	l.Set(prefix("::ffff:203.0.113.0/120"), time.Hour, "")
	l.Ban(addr("198.51.100.7"), time.Hour, "")
	for a, want := range map[string]bool{
		"198.51.100.0": true, "198.51.100.255": true, "198.51.101.0": false,
		"2001:db8::1": true, "2001:db8::2": false, "203.0.113.9": true,
	} {
		if l.Banned(addr(a)) != want {
			t.Errorf("banned(%s) = %v", a, !want)
		}
	}
	var got []string
	for _, e := range l.All() {
		got = append(got, e.Source.String())
	}
	if want := []string{"198.51.100.0/24", "198.51.100.7/32", "203.0.113.0/24", "2001:db8::1/128"}; !slices.Equal(got, want) {
		t.Errorf("All = %v, want %v", got, want)
	}
	if !l.Remove(prefix("198.51.100.0/24")) || l.Banned(addr("198.51.100.8")) || !l.Banned(addr("198.51.100.7")) {
		t.Error("removing a prefix is not removing what is within it")
	}
}

func TestFull(t *testing.T) {
	l := New(Options{Max: 3})
	for i, d := range []time.Duration{3, 1, 2, 4} {
		l.Ban(addr(fmt.Sprintf("192.0.2.%d", i)), d*time.Hour, "")
	}
	if l.Len() != 3 || l.Banned(addr("192.0.2.1")) {
		t.Errorf("of %d bans the one that ends first should have gone", l.Len())
	}
	for _, a := range []string{"192.0.2.0", "192.0.2.2", "192.0.2.3"} {
		if !l.Banned(addr(a)) {
			t.Errorf("%s is not banned any more", a)
		}
	}
}

func TestLookupAllocatesNothing(t *testing.T) {
	l := New(Options{})
	l.Ban(addr("192.0.2.1"), time.Hour, "")
	l.Ban(addr("2001:db8::1"), time.Hour, "")
	for _, a := range []netip.Addr{addr("192.0.2.1"), addr("192.0.2.2"), addr("2001:db8::9"), addr("2001:db9::9")} {
		if n := testing.AllocsPerRun(100, func() { l.Banned(a) }); n != 0 {
			t.Errorf("looking up %s allocates %v times", a, n)
		}
	}
}

func BenchmarkBanned(b *testing.B) {
	for _, n := range []int{0, 1, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l := New(Options{})
			for i := range n {
				l.Ban(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), time.Hour, "")
			}
			a := addr("192.0.2.1")
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if l.Banned(a) {
						b.Fatal("banned")
					}
				}
			})
		})
	}
}

func TestConcurrent(t *testing.T) {
	l := New(Options{Max: 50})
	always := addr("203.0.113.1")
	l.Ban(always, 1000*time.Hour, "")
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 500 {
				a := netip.AddrFrom4([4]byte{192, 0, byte(g), byte(i)})
				l.Ban(a, time.Hour, "")
				l.Set(netip.PrefixFrom(a, 8+i%25), time.Hour, "")
				if !l.Banned(always) {
					t.Error("who is banned for the longest time was let in")
				}
				l.Unban(a)
				l.Get(ipset.Source(a))
				if all := l.All(); len(all) > 50 {
					t.Errorf("%d bans, want 50 at most", len(all))
				}
			}
		})
	}
	wg.Wait()
	for _, e := range l.All() {
		l.Remove(e.Source)
	}
	if l.Len() != 0 || l.Banned(always) || len(*l.lengths[0].Load()) != 0 {
		t.Error("all bans were ended, and some are there")
	}
}
