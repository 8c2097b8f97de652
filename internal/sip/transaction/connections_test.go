package transaction

import (
	"errors"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

// TestConnClosed: what waits for an answer on a connection that goes fails at once, and nothing
// else does.
func TestConnClosed(t *testing.T) {
	for _, test := range []struct {
		name, method string
		answers      []int
		want         string
	}{
		{"INVITE", "INVITE", nil, "failed"},
		{"ringing", "INVITE", []int{180}, "failed"},
		{"another method", "MESSAGE", nil, "failed"},
		{"another method that is tried", "MESSAGE", []int{100}, "failed"},
		{"picked up", "INVITE", []int{180, 200}, ""},
		{"busy", "INVITE", []int{486}, ""},
		{"answered", "MESSAGE", []int{200}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, transport.TCP, Options{})
				gone, stays := new(transport.Conn), new(transport.Conn)
				outcomes := map[string]*outcome{}
				begin := func(branch string, flow transport.Flow) {
					o := new(outcome)
					if _, err := w.table.NewClient(requestText(test.method, branch), flow, o, nil, ClientOptions{}); err != nil {
						t.Fatal(err)
					}
					outcomes[branch] = o
				}
				flow := w.flow
				for _, b := range []string{"z9hG4bK-a", "z9hG4bK-b", "z9hG4bK-c"} {
					flow.Conn = gone
					begin(b, flow)
				}
				flow.Conn = stays
				begin("z9hG4bK-stays", flow)
				begin("z9hG4bK-udp", transport.Flow{Network: transport.UDP, Remote: peer})
				for _, status := range test.answers {
					for branch := range outcomes {
						flow.Network = transport.TCP
						if branch == "z9hG4bK-udp" {
							flow.Network = transport.UDP
						}
						w.table.Response(view(t, responseText(status, test.method, branch, "t")), flow, nil)
					}
				}
				w.table.ConnClosed(gone, io.EOF)
				w.table.ConnClosed(gone, io.EOF)
				time.Sleep(2 * tick)
				synctest.Wait()
				for branch, o := range outcomes {
					want := ""
					if !strings.HasSuffix(branch, "stays") && !strings.HasSuffix(branch, "udp") {
						want = test.want
					}
					if got := o.text(); got != want {
						t.Errorf("%s: %q, want %q", branch, got, want)
					}
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				// What rings, rings until somebody cancels it.
				left := 0
				if test.name == "ringing" {
					left = 1
				}
				if n := len(w.table.conns.first); n != left {
					t.Errorf("%d connections are remembered, want %d", n, left)
				}
				if n := w.table.Len(); n != 2*left {
					t.Errorf("%d transactions are left, want %d", n, 2*left)
				}
			})
		})
	}
}

// outcome notes how a client transaction fails.
type outcome struct{ err atomic.Pointer[error] }

func (*outcome) OnResponse(*Client, *wire.Message, *transport.Outbox) {}
func (o *outcome) OnFailure(_ *Client, err error)                     { o.err.Store(&err) }
func (*outcome) OnTerminated(*Client)                                 {}

func (o *outcome) text() string {
	switch err := o.err.Load(); {
	case err == nil:
		return ""
	case errors.Is(*err, io.EOF):
		return "failed"
	default:
		return (*err).Error()
	}
}

// TestConnClosedCancelled: the CANCEL that waits on the connection ends with its INVITE.
func TestConnClosedCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, transport.TCP, Options{})
		w.flow.Conn = new(transport.Conn)
		beginClient(t, w, &scenario{method: "INVITE"})
		w.step("INVITE", "recv 180")
		w.client.Cancel(nil, nil)
		if n := len(w.table.conns.of(w.flow.Conn)); n != 2 {
			t.Fatalf("%d transactions are on the connection, want INVITE and CANCEL", n)
		}
		w.table.ConnClosed(w.flow.Conn, io.EOF)
		time.Sleep(2 * tick)
		synctest.Wait()
		if n := w.table.Len(); n != 0 {
			t.Errorf("%d transactions are left", n)
		}
	})
}

// TestConnClosedInAnyOrder takes transactions off a connection in every order.
func TestConnClosedInAnyOrder(t *testing.T) {
	conn := new(transport.Conn)
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		s := connections{first: make(map[*transport.Conn]*Client)}
		var all []*Client
		for range 3 {
			c := new(Client)
			c.flow.Conn = conn
			s.add(c)
			all = append(all, c)
		}
		for i, n := range order {
			s.remove(all[n])
			left := s.of(conn)
			if len(left) != 2-i || slices.Contains(left, all[n]) {
				t.Fatalf("%v: %d are left after %d", order, len(left), i+1)
			}
		}
		if len(s.first) != 0 {
			t.Fatalf("%v: the connection is remembered", order)
		}
	}
}
