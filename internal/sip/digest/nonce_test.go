package digest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var realmR, peer = []byte("r"), netip.MustParseAddrPort("192.0.2.7:5060")

// bring returns what becomes of a nonce with a count and a request.
func bring(n *Nonces, text []byte, count uint32, request uint64, lifetime time.Duration) string {
	nonce, ok := n.Read(&Credentials{Realm: realmR, Nonce: text}, peer)
	if !ok {
		return "not ours"
	}
	return [...]string{"accepted", "stale", "replayed"}[n.Use(nonce, count, request, lifetime)]
}

func used(n *Nonces, text []byte, count uint32, request uint64) string {
	return bring(n, text, count, request, time.Minute)
}

func TestNonce(t *testing.T) {
	n := NewNonces()
	text := n.Append([]byte("x"), realmR, peer)[1:]
	if len(text) != NonceLength || bytes.Equal(text, n.Append(nil, realmR, peer)) {
		t.Errorf("%s", text)
	}
	refused := func(what string, n *Nonces, nonce, realm, from string) {
		t.Helper()
		if got, ok := n.Read(&Credentials{Realm: []byte(realm), Nonce: []byte(nonce)}, netip.MustParseAddrPort(from)); ok || got != (Nonce{}) {
			t.Errorf("%s: %+v", what, got)
		}
	}
	refused("for another realm", n, string(text), "s", peer.String())
	refused("from another address", n, string(text), "r", "192.0.2.8:5060")
	refused("of others", NewNonces(), string(text), "r", peer.String())
	refused("empty", n, "", "r", peer.String())
	refused("cut", n, string(text[1:]), "r", peer.String())
	refused("with a line end", n, string(text[:8])+"\n"+string(text[9:]), "r", peer.String())
	for i := range text {
		for _, c := range []byte("Ab_=\n\x00") {
			if changed := bytes.Clone(text); changed[i] != c {
				changed[i] = c
				refused("changed", n, string(changed), "r", peer.String())
			}
		}
	}
	for _, from := range []string{peer.String(), "192.0.2.7:1", "[::ffff:192.0.2.7]:5060"} {
		got, ok := n.Read(&Credentials{Realm: realmR, Nonce: text}, netip.MustParseAddrPort(from))
		if !ok || got.Port != 5060 {
			t.Errorf("from %s: %+v, %t", from, got, ok)
		}
	}
}

func TestCounts(t *testing.T) {
	for _, steps := range [][]string{
		{"1 a accepted", "1 a accepted", "1 b replayed", "2 b accepted", "1 a accepted", "2 a replayed", "3 c accepted"},
		{"5 e accepted", "3 c accepted", "4 d accepted", "3 x replayed", "5 x replayed", "4 d accepted", "1 a accepted"},
		// Without qop a nonce is good for one request.
		{"0 a accepted", "0 a accepted", "0 b replayed", "1 c accepted", "0 b replayed"},
		// Who had a count is forgotten before the count is.
		{"1 a accepted", "2 b accepted", "3 c accepted", "4 d accepted", "1 a accepted", "5 e accepted", "1 a replayed", "2 b accepted"},
		{"1 a accepted", "64 b accepted", "2 c accepted", "65 d accepted", "1 e replayed", "66 f accepted", "2 g replayed", "3 h accepted"},
		{"1 a accepted", "200 b accepted", "136 c replayed", "137 d accepted", "4294967295 e accepted", "200 b accepted", "200 c replayed", "4294967294 f accepted"},
	} {
		n := NewNonces()
		nonce := n.Append(nil, realmR, peer)
		for i, step := range steps {
			var nc uint32
			var request rune
			var want string
			if _, err := fmt.Sscanf(step, "%d %c %s", &nc, &request, &want); err != nil {
				t.Fatal(err)
			}
			if got := used(n, nonce, nc, uint64(request)); got != want {
				t.Errorf("%q, step %d: %s", steps, i, got)
			}
		}
	}
}

func TestLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNonces()
		nonce := n.Append(nil, realmR, peer)
		for _, step := range []struct {
			after time.Duration
			nc    uint32
			want  string
		}{
			{0, 1, "accepted"}, {32 * time.Second, 1, "accepted"}, {time.Millisecond, 1, "replayed"}, {0, 2, "accepted"},
			{28*time.Second - 2*time.Millisecond, 3, "accepted"}, {time.Millisecond, 4, "stale"}, {0, 1, "stale"},
		} {
			<-time.After(step.after)
			if got := used(n, nonce, step.nc, 7); got != step.want {
				t.Errorf("%v later count %d is %s, want %s", step.after, step.nc, got, step.want)
			}
		}
		// Nor does a longer lifetime, which a reload may bring, make one good again.
		if got := bring(n, nonce, 1, 7, time.Hour); got != "replayed" {
			t.Error("after a reload a replay is " + got)
		}
	})
}

// TestForgotten has more nonces than there is room for. None of those that were forgotten is good
// once more.
func TestForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNonces()
		var first [][]byte
		accepted, stale := 0, 0
		unused := n.Append(nil, realmR, peer)
		for i := range 3 * tableSets * tableWays {
			if i%16 == 0 {
				<-time.After(time.Millisecond)
			}
			nonce := n.Append(nil, realmR, peer)
			if i%101 == 0 {
				first = append(first, nonce)
			}
			switch bring(n, nonce, 1, uint64(i), time.Hour) {
			case "accepted":
				accepted++
			case "stale":
				stale++
			}
		}
		// Those that are used at once are taken, however many there are.
		if stale > accepted/1000 {
			t.Errorf("%d accepted, %d stale", accepted, stale)
		}
		<-time.After(time.Minute) // none is a retransmission
		count := make(map[string]int)
		for _, nonce := range first {
			count[bring(n, nonce, 1, 0, time.Hour)]++
		}
		if count["accepted"] > 0 || count["stale"] < len(first)/2 || count["replayed"] == 0 {
			t.Errorf("of %d used ones: %v", len(first), count)
		}
		if got := bring(n, unused, 1, 0, time.Hour); got != "stale" {
			t.Errorf("one from the beginning that was not used: %s", got)
		}
	})
}

// TestOrder uses many nonces of one set, in any order, several of them made in the same
// millisecond: whatever is dropped for what, none is accepted a second time.
func TestOrder(t *testing.T) {
	type nonce struct{ id, made uint64 }
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var used table
		used.init()
		var accepted []nonce
		for request := range uint64(300) {
			n := nonce{id: r.Uint64() / tableSets * tableSets, made: 1 + request/4 + r.Uint64N(20)}
			if len(accepted) > 0 && r.IntN(3) == 0 {
				n = accepted[r.IntN(len(accepted))]
			}
			if used.use(n.id, n.made, 1, request, request, 1+r.Uint64N(100)) != Accepted {
				continue
			}
			if slices.Contains(accepted, n) {
				t.Fatalf("the nonce %v is accepted twice", n)
			}
			accepted = append(accepted, n)
		}
		if len(accepted) < 2*tableWays {
			t.Fatalf("only %d were accepted", len(accepted))
		}
	}
}

// TestConcurrent uses each count from several goroutines: one gets it.
func TestConcurrent(t *testing.T) {
	n := NewNonces()
	nonce := n.Append(nil, realmR, peer)
	var accepted atomic.Int32
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for nc := range uint32(40) {
				if used(n, nonce, nc+1, uint64(g)) == "accepted" {
					accepted.Add(1)
				}
				n.Append(nil, realmR, peer)
			}
		})
	}
	wg.Wait()
	if got := accepted.Load(); got != 40 {
		t.Errorf("%d of 40 counts were accepted", got)
	}
}

func FuzzNonce(f *testing.F) {
	n := NewNonces()
	f.Add(n.Append(nil, []byte("s"), peer))
	f.Add([]byte("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"))
	f.Fuzz(func(t *testing.T, nonce []byte) {
		if got := used(n, nonce, 1, 1); got != "not ours" {
			t.Errorf("%q is %s", nonce, got)
		}
	})
}

func BenchmarkNonce(b *testing.B) {
	n, realm := NewNonces(), []byte("example.com")
	var room [NonceLength]byte
	b.Run("make", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			n.Append(room[:0], realm, peer)
		}
	})
	b.Run("use", func(b *testing.B) {
		c := Credentials{Realm: realm, Nonce: n.Append(room[:0], realm, peer)}
		b.ReportAllocs()
		for b.Loop() {
			c.NC++
			nonce, ok := n.Read(&c, peer)
			if !ok || n.Use(nonce, c.NC, rand.Uint64(), time.Hour) != Accepted {
				b.Fatal("not accepted")
			}
		}
	})
}
