package transaction

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

// bomb panics whatever it is told.
type bomb struct{}

func (bomb) OnCancel(*Server, *transport.Outbox) { panic("OnCancel") }
func (bomb) OnResponse(_ *Client, m *wire.Message, _ *transport.Outbox) {
	panic(m.Status)
}
func (bomb) OnFailure(*Client, error) { panic("OnFailure") }

type bombClient struct{ bomb }

func (bombClient) OnTerminated(*Client) { panic(fmt.Sprint(recover(), " and OnTerminated")) }

type bombServer struct{ bomb }

func (bombServer) OnTerminated(*Server, error) { panic("OnTerminated") }

// slow holds its first response until it is let go.
type slow struct {
	entered, leave chan struct{}
	mu             sync.Mutex
	told           []string
}

func (h *slow) tell(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.told = append(h.told, fmt.Sprintf(format, args...))
}

func (h *slow) OnResponse(_ *Client, m *wire.Message, _ *transport.Outbox) {
	h.tell("%d %s", m.Status, m.ToTag())
	if m.Status == 180 {
		close(h.entered)
		<-h.leave
	}
	h.tell("done")
}
func (h *slow) OnFailure(_ *Client, err error) { h.tell("failed") }
func (h *slow) OnTerminated(*Client)           { h.tell("ended") }

// While a handler runs nobody waits for it, and what happens meanwhile is told in order.
func TestOneCallAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, transport.UDP, Options{})
		h := &slow{entered: make(chan struct{}), leave: make(chan struct{})}
		if _, err := w.table.NewClient(requestText("INVITE", branch), w.flow, h, nil, ClientOptions{}); err != nil {
			t.Fatal(err)
		}
		give := func(status int, tag string) {
			raw := responseText(status, "INVITE", branch, tag)
			w.table.Response(view(t, raw), w.flow, nil)
			clear(raw) // the batch is over
		}
		go give(180, "a")
		<-h.entered
		for i := range 2 * maxQueue { // what nobody takes is lost, not kept
			give(183, fmt.Sprint(i))
		}
		give(200, "b") // but not this
		give(200, "c")
		time.Sleep(time.Minute) // timer M
		synctest.Wait()
		if got := strings.Join(h.told, ","); got != "180 a" {
			t.Fatalf("told %s while the handler runs", got)
		}
		close(h.leave)
		synctest.Wait()
		want := "180 a,done"
		for i := range maxQueue {
			want += fmt.Sprintf(",183 %d,done", i)
		}
		want += ",200 b,done,ended"
		if got := strings.Join(h.told, ","); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}

// The response may be there before NewClient has returned, and a handler may do anything but block.
func TestResponseBeforeNewClientReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, transport.UDP, Options{})
		send := w.table.send
		arrived := make(chan bool)
		w.table.send = func(flow transport.Flow, b []byte, out *transport.Outbox) error {
			if strings.HasPrefix(string(b), "INVITE") {
				m := view(t, responseText(200, "INVITE", branch, "t"))
				go func() { arrived <- w.table.Response(m, flow, nil) }()
			}
			return send(flow, b, out)
		}
		beginClient(t, w, &scenario{method: "INVITE"})
		if !<-arrived {
			t.Error("the response was taken for a stray")
		}
		if got := strings.Join(w.trace, ","); got != "0s sent INVITE,0s told 200" {
			t.Error(got)
		}
	})
}

// relay is a proxy's heart: it calls one transaction from within the calls of the other, with its
// own lock held.
type relay struct {
	t      *testing.T
	w      *world
	mu     sync.Mutex
	server *Server
	client *Client
	ends   int
}

func (r *relay) OnCancel(_ *Server, out *transport.Outbox) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.client.Cancel(nil, out)
}

func (r *relay) OnResponse(c *Client, m *wire.Message, out *transport.Outbox) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c != r.client {
		r.t.Error("told of another client transaction")
	}
	if err := r.server.Respond(m.Raw, m.Status, out); err != nil {
		r.t.Error(err)
	}
}

func (r *relay) OnFailure(*Client, error) { r.t.Error("failed") }

type relayServer struct{ *relay }

func (r relayServer) OnTerminated(*Server, error) { r.mu.Lock(); r.ends++; r.mu.Unlock() }

type relayClient struct{ *relay }

func (r relayClient) OnTerminated(*Client) { r.mu.Lock(); r.ends++; r.mu.Unlock() }

func TestRelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, transport.UDP, Options{})
		r := &relay{t: t, w: w}
		r.mu.Lock()
		m := view(t, requestText("INVITE", branch))
		r.server, _ = w.table.NewServer(m, w.flow, peer, []byte("tag"), relayServer{r})
		r.client, _ = w.table.NewClient(requestText("INVITE", branch), w.flow, relayClient{r}, nil, ClientOptions{})
		r.mu.Unlock()
		for _, s := range []string{"recv 180", "recv CANCEL", "recv 200 CANCEL", "recv 487", "recv ACK"} {
			w.step("INVITE", s)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		want := "0s sent INVITE,0s sent 180,0s sent 200 for CANCEL,0s sent CANCEL,0s sent ACK,0s sent 487"
		if got := strings.Join(w.trace, ","); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if r.ends != 2 || w.table.Len() != 0 {
			t.Errorf("%d ends, %d transactions left", r.ends, w.table.Len())
		}
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, transport.UDP, Options{})
		client := func(branch string, responses ...int) {
			if _, err := w.table.NewClient(requestText("INVITE", branch), w.flow, clientSide{w}, nil, ClientOptions{}); err != nil {
				t.Fatal(err)
			}
			for _, status := range responses {
				w.table.Response(view(t, responseText(status, "INVITE", branch, "t")), w.flow, nil)
			}
		}
		beginServer(t, w, &scenario{method: "INVITE"})
		client("z9hG4bK-a", 180)
		client("z9hG4bK-b", 200)
		client("z9hG4bK-c", 486)
		w.table.AfterFunc(time.Second, func() { t.Error("a timer fired after Close") })
		w.trace = nil
		w.table.Close()
		w.table.Close()
		slices.Sort(w.trace)
		want := "0s ended,0s ended,0s ended,0s ended: the transaction table is closed,0s failed: the transaction table is closed"
		if got := strings.Join(w.trace, ","); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if n := w.table.Len(); n != 0 {
			t.Errorf("%d transactions are left", n)
		}
		m := view(t, requestText("INVITE", branch))
		if w.table.Request(m, w.flow, nil) {
			t.Error("a closed table knows a request")
		}
		if _, err := w.table.NewServer(m, w.flow, peer, nil, nil); err != ErrClosed {
			t.Errorf("NewServer: %v, want ErrClosed", err)
		}
		if _, err := w.table.NewClient(requestText("INVITE", branch), w.flow, nil, nil, ClientOptions{}); err != ErrClosed {
			t.Errorf("NewClient: %v, want ErrClosed", err)
		}
		w.table.AfterFunc(0, func() { t.Error("a timer of a closed table fired") })
		w.step("INVITE", "respond 200")
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := w.trace[len(w.trace)-1]; !strings.Contains(got, "refused") {
			t.Errorf("a response was sent after Close: %s", got)
		}
	})
}

// Transactions whose keys have the same hash are still told apart.
func TestSameHash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, transport.UDP, Options{})
		w.table.mask = 3
		held := map[string]*Server{}
		random := rand.New(rand.NewPCG(3, 4))
		for range 2000 {
			branch := fmt.Sprintf("z9hG4bK-%d", random.IntN(100))
			m := view(t, requestText("MESSAGE", branch))
			s := held[branch]
			if known := w.table.Request(m, w.flow, nil); known != (s != nil) {
				t.Fatalf("%s: known is %v, want %v", branch, known, s != nil)
			}
			if s != nil {
				s.Terminate()
				delete(held, branch)
				continue
			}
			s, err := w.table.NewServer(m, w.flow, peer, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			held[branch] = s
		}
		if n := w.table.Len(); n != len(held) {
			t.Errorf("%d transactions, want %d", n, len(held))
		}
	})
}

// strict checks what is promised of the calls to one transaction's handler.
type strict struct {
	t        *testing.T
	calls    atomic.Int32 // running now
	final    bool
	failures int
	cancels  int
	ends     int
}

func (h *strict) enter() func() {
	if h.calls.Add(1) != 1 {
		h.t.Error("two calls at once")
	}
	if h.ends > 0 {
		h.t.Error("a call after the last one")
	}
	return func() { h.calls.Add(-1) }
}

func (h *strict) OnCancel(s *Server, _ *transport.Outbox) {
	defer h.enter()()
	if h.cancels++; h.cancels > 1 {
		h.t.Error("OnCancel came twice")
	}
	_ = s.Respond(responseText(487, "INVITE", branch, "t"), 487, nil)
}

func (h *strict) OnResponse(_ *Client, m *wire.Message, _ *transport.Outbox) {
	defer h.enter()()
	h.final = h.final || m.Status >= 200
}

func (h *strict) OnFailure(*Client, error) {
	defer h.enter()()
	if h.failures++; h.failures > 1 || h.final {
		h.t.Error("OnFailure came twice or after a final response")
	}
}

type strictServer struct{ *strict }

func (h strictServer) OnTerminated(*Server, error) { defer h.enter()(); h.ends++ }

type strictClient struct{ *strict }

func (h strictClient) OnTerminated(*Client) { defer h.enter()(); h.ends++ }

// Many goroutines do anything to the same few transactions. The race detector and the promises
// judge.
func TestRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, transport.UDP, Options{T1: 20 * time.Millisecond, T4: 50 * time.Millisecond})
		w.table.mask = 7
		w.table.send = func(_ transport.Flow, b []byte, _ *transport.Outbox) error { return nil }
		conn := new(transport.Conn)
		var mu sync.Mutex
		var all []*strict
		var servers []*Server
		var clients []*Client
		var group sync.WaitGroup
		for g := range 8 {
			group.Go(func() {
				random := rand.New(rand.NewPCG(5, uint64(g)))
				methods := []string{"INVITE", "MESSAGE"}
				statuses := []int{100, 180, 200, 404, 487}
				for range 2000 {
					branch := fmt.Sprintf("z9hG4bK-%d", random.IntN(8))
					method := methods[random.IntN(2)]
					status := statuses[random.IntN(len(statuses))]
					h := &strict{t: t}
					mu.Lock()
					var s *Server
					var c *Client
					if len(servers) > 0 {
						s = servers[len(servers)-1-random.IntN(min(8, len(servers)))]
					}
					if len(clients) > 0 {
						c = clients[len(clients)-1-random.IntN(min(8, len(clients)))]
					}
					mu.Unlock()
					switch n := random.IntN(12); {
					case n < 2:
						m := view(t, requestText(method, branch))
						if w.table.Request(m, w.flow, nil) {
							break
						}
						if s, err := w.table.NewServer(m, w.flow, peer, nil, strictServer{h}); err == nil {
							mu.Lock()
							all, servers = append(all, h), append(servers, s)
							mu.Unlock()
						}
					case n < 4:
						flow := w.flow
						if random.IntN(2) == 0 {
							flow.Conn = conn
						}
						if c, err := w.table.NewClient(requestText(method, branch), flow, strictClient{h}, nil, ClientOptions{}); err == nil {
							mu.Lock()
							all, clients = append(all, h), append(clients, c)
							mu.Unlock()
						}
					case n == 4:
						w.table.Request(view(t, requestText("CANCEL", branch)), w.flow, nil)
					case n == 5:
						w.table.Request(view(t, requestText("ACK", branch)), w.flow, nil)
					case n < 9:
						w.table.Response(view(t, responseText(status, method, branch, "t")), w.flow, nil)
					case n == 9 && s != nil:
						_ = s.Respond(responseText(status, method, branch, "t"), status, nil)
					case n == 10 && c != nil:
						c.Cancel(nil, nil)
					case n == 11 && s != nil && random.IntN(4) == 0:
						s.Terminate()
					case n == 11 && random.IntN(4) == 0:
						w.table.ConnClosed(conn, io.EOF)
					}
					time.Sleep(time.Duration(random.IntN(int(10 * time.Millisecond))))
				}
			})
		}
		group.Wait()
		w.table.Close()
		synctest.Wait()
		for _, h := range all {
			if h.ends != 1 {
				t.Fatalf("OnTerminated came %d times", h.ends)
			}
		}
		if n := w.table.Len(); n != 0 || len(all) < 100 {
			t.Errorf("%d transactions are left of %d", n, len(all))
		}
		if n := len(w.table.conns.first); n != 0 {
			t.Errorf("%d connections are remembered", n)
		}
	})
}

// Close while everything else goes on.
func TestRaceWithClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, transport.UDP, Options{})
		w.table.send = func(transport.Flow, []byte, *transport.Outbox) error { return nil }
		var begun, ended atomic.Int32
		var group sync.WaitGroup
		for g := range 4 {
			group.Go(func() {
				for i := range 500 {
					branch := fmt.Sprintf("z9hG4bK-%d-%d", g, i)
					m := view(t, requestText("INVITE", branch))
					s, err := w.table.NewServer(m, w.flow, peer, nil, counter{&ended})
					if err != nil {
						return
					}
					begun.Add(1)
					_ = s.Respond(responseText(486, "INVITE", branch, "t"), 486, nil)
				}
			})
		}
		group.Go(w.table.Close)
		group.Wait()
		synctest.Wait()
		if begun.Load() != ended.Load() || w.table.Len() != 0 {
			t.Errorf("%d began, %d ended, %d are left", begun.Load(), ended.Load(), w.table.Len())
		}
	})
}

type counter struct{ n *atomic.Int32 }

func (counter) OnCancel(*Server, *transport.Outbox) {}
func (c counter) OnTerminated(*Server, error)       { c.n.Add(1) }
