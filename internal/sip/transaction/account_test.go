package transaction

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/internal/budget"
	"github.com/caddysip/caddysip/internal/sip/transport"
)

// TestBudget sees that what transactions take is given back, whatever becomes of them.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, network := range []transport.Network{transport.UDP, transport.TCP} {
			b := new(budget.Budget)
			w := newWorld(t, network, Options{Budget: b})
			n := 0
			serve := func(method string) *Server {
				n++
				m := view(t, requestText(method, fmt.Sprint(branch, "s", n)))
				s, err := w.table.NewServer(m, w.flow, peer, []byte("t1"), serverSide{w})
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
			for _, method := range []string{"INVITE", "MESSAGE"} {
				for _, status := range []int{180, 200, 486} {
					s := serve(method)
					before := b.Used(budget.Transactions)
					if before == 0 {
						t.Fatal("a transaction takes nothing")
					}
					_ = s.Respond(responseText(status, method, branch, "t1"), status, nil)
					if status == 180 {
						s.Terminate()
					}
					id := fmt.Sprint(branch, "c", n)
					o := ClientOptions{Source: peer}
					if _, err := w.table.NewClient(requestText(method, id), w.flow, clientSide{w}, nil, o); err != nil {
						t.Fatal(err)
					}
					w.table.Response(view(t, responseText(status, method, id, "t2")), w.flow, nil)
				}
			}
			serve("INVITE") // is cancelled, with a reason that is kept
			before := b.Used(budget.Transactions)
			cancel := requestText("CANCEL", fmt.Sprint(branch, "s", n))
			reason := "\r\nReason: SIP;text=" + strings.Repeat("x", 400)
			w.table.Request(view(t, bytes.Replace(cancel, []byte("\r\nContent-Length"), []byte(reason+"\r\nContent-Length"), 1)), w.flow, nil)
			if more := b.Used(budget.Transactions) - before; more < 400 {
				t.Errorf("%s: the reason of a CANCEL takes %d bytes", network, more)
			}
			serve("MESSAGE") // is never answered
			w.setFail(errors.New("unplugged"))
			_ = serve("INVITE").Respond(responseText(180, "INVITE", branch, "t1"), 180, nil)
			_, _ = w.table.NewClient(requestText("INVITE", "z9hG4bK-lost"), w.flow, nil, nil, ClientOptions{})
			time.Sleep(time.Minute)
			w.table.Close() // ends what rings
			if b.Total() != 0 {
				t.Errorf("%s: left: %s", network, b)
			}
			for i := range w.table.accounts {
				if a := &w.table.accounts[i]; a.bytes.Load() != 0 || a.transactions.Load() != 0 {
					t.Errorf("%s: an account has %d bytes of %d transactions left", network, a.bytes.Load(), a.transactions.Load())
				}
			}
		}
	})
}

type trusted netip.Addr

func (a trusted) Contains(addr netip.Addr) bool { return addr == netip.Addr(a) }

// TestSourceShare has one source take what it can get: half is left for others, and who is trusted
// gets it all.
func TestSourceShare(t *testing.T) {
	b := new(budget.Budget)
	w := newWorld(t, transport.UDP, Options{Budget: b, T1: time.Hour})
	m := transport.NewManager(nil, transport.Options{})
	defer m.Close()
	l, err := m.Listen(transport.UDP, netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	fill := func(from string) (got int) {
		f := transport.Flow{Remote: netip.MustParseAddrPort(from), Listener: l}
		for ; ; got++ {
			n++
			m := view(t, requestText("INVITE", fmt.Sprint(branch, n)))
			if _, err := w.table.NewServer(m, f, f.Remote, nil, nil); errors.Is(err, ErrFull) {
				return got
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
	limits := transport.NewLimits(transport.Limits{Transactions: 200})
	limits.Trusted = trusted(netip.MustParseAddr("192.0.2.3"))
	l.SetLimits(limits)
	for _, step := range []struct {
		from string
		want int
	}{
		{"192.0.2.1:5060", 100}, {"192.0.2.1:5061", 0}, {"[2001:db8:1:2::3]:5060", 100}, {"[2001:db8:1:2::4]:5060", 0},
	} {
		if got := fill(step.from); got != step.want {
			t.Errorf("%s gets %d, want %d", step.from, got, step.want)
		}
	}
	// One that is trusted has no share: what another has left, it has more than half of.
	limits = transport.NewLimits(transport.Limits{Transactions: w.table.Len() + 250})
	limits.Trusted = trusted(netip.MustParseAddr("192.0.2.3"))
	l.SetLimits(limits)
	if got := fill("192.0.2.3:5060"); got != 250 {
		t.Errorf("one that is trusted gets %d, want 250", got)
	}
	limits = transport.NewLimits(transport.Limits{})
	limits.Trusted = trusted(netip.MustParseAddr("192.0.2.3"))
	l.SetLimits(limits)
	b.SetCeiling(2 * (b.Total() + 1<<20)) // half of it is for transactions
	room := b.Share(budget.Transactions)
	fill("192.0.2.2:5060")
	if rest := room - b.Total(); rest < 300_000 || rest > 600_000 {
		t.Errorf("%d of %d bytes are left by one source", rest, room)
	}
}
