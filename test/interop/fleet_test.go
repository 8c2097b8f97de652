//go:build interop

package interop

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddysip/caddysip/handler/handlertest"
)

const (
	fleetSockets = 8
	fleetBurst   = 6 // REGISTERs of a socket at a time,
	fleetPause   = 10 * time.Millisecond
	fleetWaiting = 300 // and at most that many without an answer
)

// fleet is many phones behind a few sockets, and what the server has told them.
type fleet struct {
	server *net.UDPAddr
	phones []*gateway
	ended  time.Time // the server
}

// gateway is a socket and the phones behind it.
type gateway struct {
	*net.UDPConn
	name string
	to   *net.UDPAddr

	mu      sync.Mutex
	users   []*user
	byName  map[string]*user
	waiting int
	acks    int
}

// user is one phone. Each registration of it has a q of its own, by which it is known again.
type user struct {
	name string
	cseq int
	ops  []op // what was asked for since the last check, and before it what was there then
}

// op is a REGISTER; q 0 unregisters.
type op struct {
	cseq, q int
	acked   time.Time // zero: never
}

func newFleet(t *testing.T, addr string) *fleet {
	t.Helper()
	to, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{server: to}
	for i := range fleetSockets {
		f.phones = append(f.phones, &gateway{UDPConn: dial(t, addr), name: fmt.Sprintf("g%d", i), to: to, byName: make(map[string]*user)})
	}
	return f
}

func (g *gateway) send(format string, args ...any) {
	text := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "\r\n")
	_, _ = g.WriteTo([]byte(text), g.to) // while the server is away nobody takes it
}

// register sends a REGISTER. Without q it asks for what is registered.
func (g *gateway) register(u *user, more string) {
	u.cseq++
	g.send("REGISTER sip:%[1]s SIP/2.0\nVia: SIP/2.0/UDP %[2]s;branch=z9hG4bK-%[3]s-%[4]d;rport\nMax-Forwards: 70\nFrom: <sip:%[3]s@%[1]s>;tag=%[4]d\n"+
		"To: <sip:%[3]s@%[1]s>\nCall-ID: %[3]s\nCSeq: %[4]d REGISTER\n%[5]sContent-Length: 0\n\n", g.to, g.LocalAddr(), u.name, u.cseq, more)
}

// load has the phones register, renew and unregister for a time, then ends the server in the middle
// of it, and returns when no answer comes any more.
func (f *fleet) load(t *testing.T, d time.Duration, end func(*testing.T) time.Time) {
	t.Helper()
	stop := make(chan struct{})
	var senders, readers sync.WaitGroup
	for _, g := range f.phones {
		g.acks, g.waiting = 0, 0
		senders.Go(func() {
			tick := time.NewTicker(fleetPause)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					return
				case <-tick.C:
					g.burst()
				}
			}
		})
		readers.Go(func() { g.listen(stop) })
	}
	<-time.After(d)
	f.ended = end(t)
	close(stop)
	senders.Wait()
	readers.Wait()
}

func (g *gateway) burst() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for range fleetBurst {
		if g.waiting >= fleetWaiting {
			return
		}
		var u *user
		if len(g.users) < 200 || rand.IntN(4) == 0 {
			u = &user{name: fmt.Sprintf("%s-%d", g.name, len(g.users))}
			g.users = append(g.users, u)
			g.byName[u.name] = u
		} else if u = g.users[rand.IntN(len(g.users))]; len(u.ops) > 0 && u.ops[len(u.ops)-1].acked.IsZero() {
			continue // one after the other
		}
		q, expires := 0, 0
		if len(u.ops) == 0 || rand.IntN(5) > 0 {
			q, expires = u.cseq%999+1, 3600
		}
		g.register(u, fmt.Sprintf("Contact: <sip:%s@%s;line=%s>;expires=%d;q=0.%03d\n", u.name, g.LocalAddr(), u.name, expires, q))
		u.ops = append(u.ops, op{cseq: u.cseq, q: q})
		g.waiting++
	}
}

// listen notes the answers, those too that are still queued when the server has gone.
func (g *gateway) listen(stop chan struct{}) {
	for {
		m, err := receive(g.UDPConn, time.Now().Add(100*time.Millisecond))
		if errors.Is(err, os.ErrDeadlineExceeded) {
			select {
			case <-stop:
				return
			default:
				continue
			}
		}
		if err != nil || m.Line() != "SIP/2.0 200 OK" {
			continue
		}
		now := time.Now()
		g.mu.Lock()
		u := g.byName[m.Header("Call-ID")]
		for i := range u.ops {
			if o := &u.ops[i]; fmt.Sprint(o.cseq, " REGISTER") == m.Header("CSeq") && o.acked.IsZero() {
				o.acked = now
				g.acks++
				g.waiting--
			}
		}
		g.mu.Unlock()
	}
}

// check asks what everybody is registered as. What was acknowledged before a moment must be so,
// unless the phone has asked for something else since.
func (f *fleet) check(t *testing.T, before time.Time) (sum tally) {
	t.Helper()
	for _, g := range f.phones {
		sum.acknowledged += g.acks
		for _, u := range g.users {
			got := g.ask(t, u)
			base, latest := -1, -1
			for i := range u.ops {
				if a := u.ops[i].acked; !a.IsZero() {
					latest = i
					if !a.After(before) {
						base = i
					}
				}
			}
			if base >= 0 {
				sum.old++
				if !admits(u.ops[base:], got) {
					sum.lost++
					t.Errorf("%s has q %d after the restart, which is none of %+v", u.name, got, u.ops[base:])
				}
			}
			if latest >= 0 && !admits(u.ops[latest:], got) {
				if latest > base {
					sum.recent++
				}
				sum.oldest = max(sum.oldest, f.ended.Sub(u.ops[latest].acked))
			}
			u.ops = append(u.ops[:0], op{cseq: u.cseq, q: got, acked: f.ended})
		}
	}
	return sum
}

func admits(ops []op, q int) bool {
	for _, o := range ops {
		if o.q == q {
			return true
		}
	}
	return false
}

// ask returns the q that the user is registered with, 0 when there is no registration.
func (g *gateway) ask(t *testing.T, u *user) (q int) {
	t.Helper()
	for range 20 {
		g.register(u, "")
		for deadline := time.Now().Add(time.Second); ; {
			m, err := receive(g.UDPConn, deadline)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil || m.Header("Call-ID") != u.name || m.Header("CSeq") != fmt.Sprint(u.cseq, " REGISTER") {
				continue // of before
			}
			if m.Line() != "SIP/2.0 200 OK" || len(m.Headers("Contact")) > 1 {
				t.Fatalf("%s asks what is registered and gets\n%s", u.name, m.Text)
			}
			if contact := m.Header("Contact"); contact != "" {
				_, after, _ := strings.Cut(contact, ";q=0.")
				if _, err := fmt.Sscanf(after, "%03d", &q); err != nil || !strings.HasPrefix(contact, fmt.Sprintf("<sip:%s@%s;line=%s>", u.name, g.LocalAddr(), u.name)) {
					t.Fatalf("%s has Contact: %s", u.name, contact)
				}
			}
			return q
		}
	}
	t.Fatalf("%s gets no answer", u.name)
	return 0
}

// call calls some users, with INVITE and OPTIONS by turns: those who are registered are reached at
// the socket that they registered from, before the server was started; of those who are not nothing
// arrives anywhere.
func (f *fleet) call(t *testing.T, n int) {
	t.Helper()
	caller := &gateway{UDPConn: dial(t, f.server.String()), to: f.server}
	for i := range n {
		g := f.phones[rand.IntN(len(f.phones))]
		u := g.users[rand.IntN(len(g.users))]
		registered := u.ops[0].q != 0
		method := [...]string{"INVITE", "OPTIONS"}[i%2]
		id := fmt.Sprintf("call-%d-%d", time.Now().UnixNano(), i)
		request := func(method, to string) {
			caller.send("%[1]s sip:%[2]s@%[3]s SIP/2.0\nVia: SIP/2.0/UDP %[4]s;branch=z9hG4bK-%[5]s;rport\nMax-Forwards: 70\nFrom: <sip:caller@%[3]s>;tag=c\n"+
				"To: %[6]s\nCall-ID: %[5]s\nCSeq: 1 %[1]s\nContact: <sip:caller@%[4]s>\nContent-Length: 0\n\n", method, u.name, f.server, caller.LocalAddr(), id, to)
		}
		request(method, fmt.Sprintf("<sip:%s@%s>", u.name, f.server))
		status := "SIP/2.0 4" // 404 or 480
		if registered {
			status = "SIP/2.0 486 Busy Here"
			m := await(t, g.UDPConn, func(m handlertest.Message) bool { return m.Header("Call-ID") == id })
			if want := fmt.Sprintf("%s sip:%s@%s;line=%s SIP/2.0", method, u.name, g.LocalAddr(), u.name); m.Line() != want || m.From.String() != f.server.String() {
				t.Fatalf("the phone gets, from %s,\n%s\nwant %s from the server", m.From, m.Text, want)
			}
			g.send("SIP/2.0 486 Busy Here\nVia: %s\nFrom: %s\nTo: %s;tag=p\nCall-ID: %s\nCSeq: 1 %s\nContent-Length: 0\n\n",
				strings.Join(m.Headers("Via"), "\nVia: "), m.Header("From"), m.Header("To"), id, method)
		}
		m := await(t, caller.UDPConn, func(m handlertest.Message) bool {
			return m.Header("Call-ID") == id && !strings.HasPrefix(m.Line(), "SIP/2.0 1")
		})
		if !strings.HasPrefix(m.Line(), status) {
			t.Fatalf("%s of %s, who has q %d: the caller gets\n%s", method, u.name, u.ops[0].q, m.Text)
		}
		if method == "INVITE" {
			request("ACK", m.Header("To"))
		}
	}
}

// await returns the message that is waited for.
func await(t *testing.T, c *net.UDPConn, wanted func(handlertest.Message) bool) handlertest.Message {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		m, err := receive(c, deadline)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("a message does not come")
		}
		if err == nil && wanted(m) {
			return m
		}
	}
}
