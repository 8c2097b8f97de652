package transaction

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

// answering is a server that rings and, when it is cancelled, answers 487, all in the batch of the
// packet that asked for it.
type answering struct {
	t     *testing.T
	table *Table
	ended chan error
}

func (a *answering) HandleMessage(in *transport.Inbound) {
	m := view(a.t, in.Data)
	if a.table.Request(m, in.Flow, in.Outbox) {
		return
	}
	tag := []byte("s1")
	s, err := a.table.NewServer(m, in.Flow, m.ResponseAddr(in.Flow.Remote), tag, a)
	if err != nil {
		a.t.Error(err)
		return
	}
	ringing := m.AppendResponse(in.Outbox.Buffer(), 180, "Ringing", in.Flow.Remote, &wire.ResponseOptions{ToTag: tag})
	if err := s.Respond(ringing, 180, in.Outbox); err != nil {
		a.t.Error(err)
	}
}

func (a *answering) ConnClosed(*transport.Conn, error) {}

func (a *answering) OnCancel(s *Server, out *transport.Outbox) {
	if s.Status() != 180 {
		a.t.Errorf("the status is %d", s.Status())
	}
	terminated := append(out.Buffer(), responseText(487, "INVITE", branch, "s1")...)
	if err := s.Respond(terminated, 487, out); err != nil {
		a.t.Error(err)
	}
}

func (a *answering) OnTerminated(_ *Server, err error) { a.ended <- err }

// A cancelled call over real sockets, in one batch where the transport has batches.
func TestLoopback(t *testing.T) {
	for _, network := range []transport.Network{transport.UDP, transport.TCP} {
		t.Run(network.String(), func(t *testing.T) {
			a := &answering{t: t, table: NewTable(Options{T4: 10 * time.Millisecond}), ended: make(chan error, 1)}
			defer a.table.Close()
			manager := transport.NewManager(a, transport.Options{})
			defer manager.Close()
			listener, err := manager.Listen(network, netip.MustParseAddrPort("127.0.0.1:0"))
			if err != nil {
				t.Fatal(err)
			}
			conn, err := net.Dial(network.String(), listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			say := func(method string) {
				t.Helper()
				b := strings.Replace(string(requestText(method, branch)), ";branch", ";rport;branch", 1)
				if _, err := conn.Write([]byte(b)); err != nil {
					t.Fatal(err)
				}
			}
			buf := make([]byte, 65536)
			var got string
			expect := func(what ...string) {
				t.Helper()
				for _, w := range what {
					for !strings.Contains(got, w) {
						n, err := conn.Read(buf)
						if err != nil {
							t.Fatalf("waiting for %q: %v", w, err)
						}
						got += string(buf[:n])
					}
					_, got, _ = strings.Cut(got, w)
				}
			}
			say("INVITE")
			expect("SIP/2.0 180 Ringing\r\n", "\r\n\r\n")
			if network == transport.UDP {
				say("INVITE")
				expect("SIP/2.0 180 Ringing\r\n", "\r\n\r\n")
			}
			say("CANCEL")
			expect("SIP/2.0 200 OK\r\n", ";tag=s1\r\n", "CSeq: 7 CANCEL", "SIP/2.0 487 ", "CSeq: 7 INVITE")
			say("ACK")
			if err := <-a.ended; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSendErrors(t *testing.T) {
	table := NewTable(Options{})
	defer table.Close()
	// A flow of TCP without a connection, as when it has been closed.
	flow := transport.Flow{Network: transport.TCP, Remote: peer}
	if _, err := table.NewClient(requestText("INVITE", branch), flow, nil, nil, ClientOptions{}); err == nil {
		t.Error("a request was sent without a connection")
	}
	if err := send(flow, []byte("x"), new(transport.Outbox)); err == nil {
		t.Error("a batch took what cannot be sent")
	}
	if n := table.Len(); n != 0 {
		t.Errorf("%d transactions are left", n)
	}
}

func TestEventNames(t *testing.T) {
	seen := map[string]bool{}
	for e := Absorbed; e <= Full; e++ {
		seen[fmt.Sprint(e)] = true
	}
	if len(seen) != int(Full)+1 || seen[""] {
		t.Errorf("got %v", seen)
	}
}

// FuzzTable gives whatever parses to all that takes a message.
func FuzzTable(f *testing.F) {
	for _, method := range []string{"INVITE", "ACK", "CANCEL", "MESSAGE", "X"} {
		f.Add(requestText(method, branch), uint16(486))
		f.Add(requestText(method, "1"), uint16(180))
		f.Add(responseText(200, method, branch, "t"), uint16(200))
	}
	table := newBenchTable(f)
	f.Fuzz(func(t *testing.T, raw []byte, status uint16) {
		raw = append([]byte(nil), raw...)
		m := new(wire.Message)
		if m.Parse(raw) != nil {
			return
		}
		if m.IsResponse {
			table.Response(m, benchFlow, nil)
			return
		}
		before := table.Len()
		known := table.Request(m, benchFlow, nil)
		s, err := table.NewServer(m, benchFlow, peer, []byte("tag"), nil)
		if err == nil {
			if known || !table.Request(m, benchFlow, nil) {
				t.Error("a new transaction is not found by its own request")
			}
			_ = s.Respond(m.AppendResponse(nil, int(status), "Reason", peer, &wire.ResponseOptions{}), int(status), nil)
			table.Request(m, benchFlow, nil)
			s.Terminate()
		}
		if c, err := table.NewClient(m.Raw, benchFlow, nil, nil, ClientOptions{}); err == nil {
			response := new(wire.Message)
			if err := response.Parse(m.AppendResponse(nil, 486, "Reason", peer, &wire.ResponseOptions{ToTag: []byte("t")})); err == nil {
				table.Response(response, benchFlow, nil)
			}
			c.mu.Lock()
			if c.state != terminated {
				c.endSoon(c, nil)
			}
			c.mu.Unlock()
		}
		if n := table.Len(); n != before {
			t.Errorf("%d transactions, before it were %d", n, before)
		}
	})
}
