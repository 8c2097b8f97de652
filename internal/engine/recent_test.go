package engine

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/wire"
)

func message(t testing.TB, text string) *wire.Message {
	t.Helper()
	m := new(wire.Message)
	if err := m.Parse([]byte(strings.ReplaceAll(text, "\n", "\r\n"))); err != nil {
		t.Fatal(err)
	}
	return m
}

const invite = `INVITE sip:bob@example.com SIP/2.0
Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK1
Max-Forwards: 70
Route: <sip:192.0.2.30;lr>
From: <sip:alice@example.com>;tag=f1
To: <sip:bob@example.com>
Call-ID: call-1
CSeq: 7 INVITE
Content-Length: 0

`

func TestRecent(t *testing.T) {
	for _, tc := range []struct {
		name  string
		start time.Duration // since the halves were rotated
		after time.Duration
		want  bool
	}{
		{"at once", 0, 0, true},
		{"within the time of a transaction", 0, 32 * time.Second, true},
		{"when a half is full of age", recentTime - time.Second, 32 * time.Second, true},
		{"shortly before the other half is", recentTime - time.Second, recentTime + time.Second, true},
		{"long after", 0, 2*recentTime + 2*time.Second, false},
		{"hours after", 0, 5 * time.Hour, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var c recent
				if c.remember(1) {
					t.Error("1 has not been seen")
				}
				time.Sleep(tc.start)
				if c.remember(2) {
					t.Error("2 has not been seen")
				}
				time.Sleep(tc.after)
				if got := c.remember(2); got != tc.want {
					t.Errorf("2 has been seen: %v", got)
				}
				if !c.remember(2) {
					t.Error("2 has just been seen")
				}
			})
		})
	}
}

// TestRecentUnderLoad has something come all the time.
func TestRecentUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c recent
		for i := range uint64(1000) {
			if c.remember(i) {
				t.Fatalf("%d has not been seen", i)
			}
			if i >= 32 && !c.remember(i-32) {
				t.Fatalf("%d has been seen 32 s ago", i-32)
			}
			if n := len(c.current) + len(c.previous); n > 3*int(recentTime/time.Second) {
				t.Fatalf("%d are remembered", n)
			}
			time.Sleep(time.Second)
		}
	})
}

func TestRecentIsBounded(t *testing.T) {
	var c recent
	for i := range uint64(2*recentMax + 10) {
		c.remember(i)
	}
	if n := len(c.current) + len(c.previous); n > 2*recentMax {
		t.Errorf("%d are remembered", n)
	}
	if !c.remember(2*recentMax) || !c.remember(recentMax+100) {
		t.Error("the latest are forgotten")
	}
}

func TestRemember(t *testing.T) {
	e := New()
	defer e.Destruct()
	if e.Remember(message(t, invite)) {
		t.Error("the first is a repetition")
	}
	// What a proxy or a retransmission may change.
	for _, edits := range [][]string{{}, {"Max-Forwards: 70", "Max-Forwards: 69"}, {"192.0.2.7:5060", "192.0.2.7:5061"}, {"Content-Length: 0\n", "Content-Length: 0\nX: y\n"}} {
		if !e.Remember(message(t, strings.NewReplacer(edits...).Replace(invite))) {
			t.Errorf("with %q it is another request", edits)
		}
	}
	for _, edits := range [][]string{
		{"z9hG4bK1", "z9hG4bK2"}, {"192.0.2.7", "192.0.2.8"}, {"call-1", "call-2"}, {"CSeq: 7 INVITE", "CSeq: 8 INVITE"}, {"tag=f1", "tag=f2"},
		{"INVITE", "MESSAGE"}, {"z9hG4bK1", "z9hG4bK1192.0.2.7", "192.0.2.7", "x"},
	} {
		m := message(t, strings.NewReplacer(edits...).Replace(invite))
		if e.Remember(m) {
			t.Errorf("with %q it is the same request", edits)
		}
		if !e.Remember(m) {
			t.Errorf("with %q it comes for the first time twice", edits)
		}
	}
}

func TestRememberAtOnce(t *testing.T) {
	e := New()
	defer e.Destruct()
	var first sync.Map
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			if !e.Remember(message(t, invite)) {
				first.Store(i, true)
			}
		})
	}
	group.Wait()
	n := 0
	first.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d were the first", n)
	}
}
