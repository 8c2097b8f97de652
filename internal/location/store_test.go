package location

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/internal/sip/transport"
)

// TestExpirySecond asks for bindings in the very second in which they expire, before the sweeper comes.
func TestExpirySecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, Options{})
		s.Close()
		c := contact(t, "sip:a@192.0.2.20")
		c.Expires = 60
		mustUpdate(t, s, update("one", 1, c))
		time.Sleep(time.Minute - 1)
		if got := contacts(s.Lookup([]byte(alice), nil)); got != "sip:a@192.0.2.20" || !s.Registered([]byte(alice)) {
			t.Errorf("before: %q", got)
		}
		time.Sleep(time.Nanosecond)
		if got := contacts(s.Lookup([]byte(alice), nil)); got != "" || s.Registered([]byte(alice)) {
			t.Errorf("then: %q", got)
		}
	})
}

// TestKnownFull has more users of one shard go than are remembered.
func TestKnownFull(t *testing.T) {
	s := newStore(t, Options{})
	shard := s.shard([]byte(alice))
	gone := 0
	for i := 0; gone < 2*knownMax; i++ {
		u := update("one", 1, contact(t, "sip:a@192.0.2.20"))
		u.AOR = fmt.Appendf(nil, "%d@example.com", i)
		if s.shard(u.AOR) != shard {
			continue
		}
		mustUpdate(t, s, u)
		s.Remove(u.AOR, nil)
		if gone++; !s.Known(u.AOR) {
			t.Fatalf("user %d is forgotten at once", gone)
		}
	}
	if len(shard.known) != knownMax {
		t.Errorf("%d users are remembered, want %d", len(shard.known), knownMax)
	}
}

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *Store
		told := make(chan string, 10)
		s = newStore(t, Options{
			OnExpired: func(b *Binding) { told <- "expired " + b.Contact() },
			OnChange:  func(aor string) { told <- "now " + contacts(s.Lookup([]byte(aor), nil)) },
		})
		wantTold := func(want ...string) {
			t.Helper()
			var got []string
			for len(told) > 0 {
				got = append(got, <-told)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("told %q, want %q", got, want)
			}
		}
		pass(300 * time.Millisecond) // not on a full second
		a, b := contact(t, "sip:a@192.0.2.20"), contact(t, "sip:b@192.0.2.20")
		a.Expires, b.Expires = 60, 120
		mustUpdate(t, s, update("one", 1, a, b))
		first := s.Lookup([]byte(alice), nil)[1]
		if first.Contact() != "sip:a@192.0.2.20" || s.Remaining(first) != 60 {
			t.Fatalf("%s has %d s", first.Contact(), s.Remaining(first))
		}

		pass(60 * time.Second) // never less than promised
		wantContacts(t, s, "sip:b@192.0.2.20 sip:a@192.0.2.20")
		wantTold("now sip:b@192.0.2.20 sip:a@192.0.2.20")
		pass(time.Second)
		wantContacts(t, s, "sip:b@192.0.2.20")
		if s.Remaining(first) != 0 {
			t.Fatalf("what has expired has %d s", s.Remaining(first))
		}
		pass(5 * time.Second)
		wantLen(t, s, 1, 1)
		wantTold("expired sip:a@192.0.2.20", "now sip:b@192.0.2.20")

		pass(time.Minute)
		wantContacts(t, s, "")
		wantLen(t, s, 0, 0)
		wantTold("expired sip:b@192.0.2.20", "now ")
	})
}

func TestAnExpiredBindingIsAddedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		expired := 0
		s := newStore(t, Options{OnExpired: func(*Binding) { expired++ }})
		s.Close() // nobody sweeps
		a, b := contact(t, "sip:a@192.0.2.20"), contact(t, "sip:b@192.0.2.20")
		a.Expires = 60
		mustUpdate(t, s, update("one", 5, a))
		pass(61 * time.Second)
		wantContacts(t, s, "")
		s.Range("", 0, func(aor string, _ []*Binding) bool { t.Errorf("Range has %s", aor); return true })
		if got := mustUpdate(t, s, update("one", 1, a)); got != "+sip:a@192.0.2.20" || expired != 1 {
			t.Fatalf("changes %q, %d expired", got, expired)
		}
		wantLen(t, s, 1, 1)

		// One that has expired does not count for the limit.
		pass(61 * time.Second)
		u := update("one", 2, b)
		u.Max = 1
		if got := mustUpdate(t, s, u); got != "+sip:b@192.0.2.20" || expired != 2 {
			t.Fatalf("changes %q, %d expired", got, expired)
		}
		wantLen(t, s, 1, 1)
		pass(time.Hour)
		if got := s.Remove([]byte(alice), nil); len(got) != 0 || expired != 2+1 {
			t.Fatalf("removed %q, %d expired", contacts(got), expired)
		}
		wantLen(t, s, 0, 0)
	})
}

func TestTheSweeperGetsEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		expired := map[string]int{}
		s := newStore(t, Options{OnExpired: func(b *Binding) { expired[b.AOR()]++ }})
		const n = 5000
		fill(t, s, n)
		for i := range n {
			if i%2 == 0 {
				continue
			}
			u := phone(t, i)
			u.CSeq, u.Contacts[0].Expires = 2, 7200
			mustUpdate(t, s, u)
		}
		wantLen(t, s, n, n)
		pass(time.Hour + shardCount/sweepShards*sweepInterval + sweepInterval)
		wantLen(t, s, n/2, n/2)
		pass(time.Hour)
		wantLen(t, s, 0, 0)
		if len(expired) != n {
			t.Fatalf("%d AORs have expired", len(expired))
		}
		for aor, times := range expired {
			if times != 1 {
				t.Fatalf("%s has expired %d times", aor, times)
			}
		}
	})
}

func TestTheLongestLifetime(t *testing.T) {
	s := newStore(t, Options{})
	c := contact(t, "sip:a@192.0.2.20")
	c.Expires = math.MaxUint32
	mustUpdate(t, s, update("one", 1, c))
	wantContacts(t, s, "sip:a@192.0.2.20")
}

func TestFlow(t *testing.T) {
	s := newStore(t, Options{})
	for i, f := range []transport.Flow{
		flow,
		{Network: transport.UDP, Remote: netip.MustParseAddrPort("[2001:db8::7]:5060"), Local: netip.MustParseAddrPort("[2001:db8::1]:5060"), Listener: new(transport.Listener)},
		{Network: transport.UDP, Remote: netip.MustParseAddrPort("[fe80::7%2]:5060"), Local: netip.MustParseAddrPort("[fe80::1%2]:5060")},
		{Network: transport.UDP, Remote: netip.MustParseAddrPort("[fe80::7%3]:5060"), Local: netip.MustParseAddrPort("[fe80::1%2]:5060")},
		{Network: transport.TLS, Remote: flow.Remote, Local: flow.Local, Conn: new(transport.Conn)},
		{},
	} {
		u := update("one", uint32(i), contact(t, "sip:a@192.0.2.20"))
		u.Flow = f
		mustUpdate(t, s, u)
		b := wantContacts(t, s, "sip:a@192.0.2.20")[0]
		if b.Flow() != f || b.Source() != f.Remote || b.Network() != f.Network {
			t.Errorf("flow is %+v, want %+v", b.Flow(), f)
		}
		if b.FlowFailed() {
			t.Errorf("flow %+v has failed", f)
		}
	}
}

func TestFlowFailed(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	m := transport.NewManager(ignore{}, transport.Options{})
	defer m.Close()
	f, err := m.Dial(context.Background(), transport.TCP, netip.MustParseAddrPort(ln.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(t, Options{})
	u := update("one", 1, contact(t, "sip:a@192.0.2.20"))
	u.Flow = f
	mustUpdate(t, s, u)
	b := wantContacts(t, s, "sip:a@192.0.2.20")[0]
	if b.FlowFailed() || b.Flow() != f {
		t.Fatalf("flow is %+v, failed %v", b.Flow(), b.FlowFailed())
	}
	f.Conn.Close()
	<-f.Conn.Done()
	if !b.FlowFailed() {
		t.Fatal("a flow whose connection has gone has not failed")
	}
	wantContacts(t, s, "sip:a@192.0.2.20") // it is still bound
}

type ignore struct{}

func (ignore) HandleMessage(*transport.Inbound)        {}
func (ignore) ConnClosed(c *transport.Conn, err error) {}

func TestRange(t *testing.T) {
	s := newStore(t, Options{})
	const n = 1000
	fill(t, s, n)
	var got []string
	pages, after := 0, ""
	for {
		size := 0
		s.Range(after, 64, func(aor string, bindings []*Binding) bool {
			if len(bindings) != 1 || bindings[0].AOR() != aor {
				t.Fatalf("%s has %d bindings", aor, len(bindings))
			}
			got = append(got, aor)
			after = aor
			size++
			return true
		})
		if size == 0 {
			break
		}
		if pages++; size != 64 && len(got) != n {
			t.Fatalf("page %d has %d entries", pages, size)
		}
	}
	if len(got) != n || pages != (n+63)/64 {
		t.Fatalf("%d AORs on %d pages", len(got), pages)
	}
	for i, aor := range got {
		if want := fmt.Sprintf("user%07d@example.com", i); aor != want {
			t.Fatalf("AOR %d is %s, want %s", i, aor, want)
		}
	}
	calls := 0
	s.Range("user0000500@example.com", 0, func(aor string, _ []*Binding) bool {
		if calls++; calls == 1 && aor != "user0000501@example.com" {
			t.Fatalf("starts with %s", aor)
		}
		return calls < 3
	})
	if calls != 3 {
		t.Fatalf("called %d times", calls)
	}
}

func TestRangeFillsAPageWhenSomeHaveExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, Options{})
		s.Close()
		for i := range 100 {
			u := phone(t, i)
			if i >= 90 {
				u.Contacts[0].Expires = 7200
			}
			mustUpdate(t, s, u)
		}
		pass(3601 * time.Second)
		var got []string
		s.Range("", 5, func(aor string, _ []*Binding) bool {
			got = append(got, aor[4:11])
			return true
		})
		if strings.Join(got, " ") != "0000090 0000091 0000092 0000093 0000094" {
			t.Fatalf("got %q", got)
		}
	})
}

func TestConcurrentUse(t *testing.T) {
	var s *Store
	s = newStore(t, Options{
		OnChange:  func(aor string) { s.Lookup([]byte(aor), nil) },
		OnExpired: func(b *Binding) { s.Registered([]byte(b.AOR())) },
	})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			var r Result
			var found []*Binding
			for i := range 2000 {
				u := phone(t, i%7)
				u.CSeq = uint32(i)
				u.CallID = fmt.Appendf(nil, "%d", g)
				switch i % 5 {
				case 3:
					u.Contacts[0].Expires = 0
				case 4:
					u.Contacts = append(u.Contacts, contact(t, fmt.Sprintf("sip:%d@192.0.2.20", g)))
				}
				_ = s.Update(u, &r) // others are faster now and then
				found = s.Lookup(u.AOR, found[:0])
				for _, b := range found {
					if b.AOR() != string(u.AOR) {
						t.Errorf("a binding of %s under %s", b.AOR(), u.AOR)
						return
					}
				}
				switch {
				case i%100 == 0:
					s.Range("", 3, func(string, []*Binding) bool { return true })
				case i%150 == 1:
					s.Remove(u.AOR, nil)
				case i%150 == 2:
					sh := s.shard(u.AOR)
					s.notifyExpired(s.expire(sh, math.MaxUint32, nil))
				}
			}
		})
	}
	wg.Wait()
	aors, bindings := 0, 0
	s.Range("", 0, func(_ string, list []*Binding) bool {
		aors++
		bindings += len(list)
		return true
	})
	wantLen(t, s, aors, bindings)
}
