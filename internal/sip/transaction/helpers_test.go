package transaction

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

var (
	peer   = netip.MustParseAddrPort("192.0.2.20:5062")
	other  = netip.MustParseAddrPort("203.0.113.9:5062")
	branch = "z9hG4bK-1"
)

func text(s string) []byte { return []byte(strings.ReplaceAll(s, "\n", "\r\n")) }

func requestText(method, branch string) []byte {
	return text(method + ` sip:101@192.0.2.10 SIP/2.0
Via: SIP/2.0/UDP 192.0.2.20:5062;branch=` + branch + `
Max-Forwards: 70
Route: <sip:192.0.2.30;lr>
From: <sip:102@example.com>;tag=f1
To: <sip:101@example.com>
Call-ID: c1@192.0.2.20
CSeq: 7 ` + method + `
Content-Length: 4

body`)
}

func responseText(status int, method, branch, toTag string) []byte {
	return text(fmt.Sprintf(`SIP/2.0 %d Reason
Via: SIP/2.0/UDP 192.0.2.20:5062;branch=%s
From: <sip:102@example.com>;tag=f1
To: <sip:101@example.com>;tag=%s
Call-ID: c1@192.0.2.20
CSeq: 7 %s
Content-Length: 0

`, status, branch, toTag, method))
}

func view(t testing.TB, raw []byte) *wire.Message {
	t.Helper()
	m := new(wire.Message)
	if err := m.Parse(raw); err != nil {
		t.Fatalf("%v in\n%s", err, raw)
	}
	return m
}

// world records, each with its time, what a table sends, tells its handlers and counts.
type world struct {
	t      testing.TB
	table  *Table
	flow   transport.Flow
	start  time.Time
	server *Server
	client *Client

	mu      sync.Mutex
	fail    error // what sending returns
	trace   []string
	packets []packet
	counted map[Event]int
}

type packet struct {
	flow transport.Flow
	text string
}

// newWorld makes a table in which nothing reaches a socket.
func newWorld(t testing.TB, network transport.Network, o Options) *world {
	w := &world{t: t, flow: transport.Flow{Network: network, Remote: peer}, start: time.Now(), counted: make(map[Event]int)}
	o.Count = func(e Event) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.counted[e]++
	}
	w.table = NewTable(o)
	w.table.send = func(flow transport.Flow, b []byte, _ *transport.Outbox) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		word, rest, _ := strings.Cut(string(b), " ")
		if word == "SIP/2.0" {
			word = rest[:3] + cseqMethod(t, b)
		}
		verb := "sent"
		if w.fail != nil {
			verb = "lost"
		}
		w.trace = append(w.trace, fmt.Sprintf("%v %s %s", time.Since(w.start), verb, word))
		w.packets = append(w.packets, packet{flow, string(b)})
		return w.fail
	}
	t.Cleanup(w.table.Close)
	return w
}

// cseqMethod returns " for CANCEL" for a response to a CANCEL.
func cseqMethod(t testing.TB, b []byte) string {
	if view(t, slices.Clone(b)).Method == wire.CANCEL {
		return " for CANCEL"
	}
	return ""
}

func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trace = append(w.trace, fmt.Sprint(time.Since(w.start), " ", fmt.Sprintf(format, args...)))
}

func (w *world) setFail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail = err
}

func (w *world) count(e Event) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counted[e]
}

// lastPacket returns the latest message sent that starts with prefix.
func (w *world) lastPacket(prefix string) packet {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range slices.Backward(w.packets) {
		if strings.HasPrefix(p.text, prefix) {
			return p
		}
	}
	w.t.Fatalf("nothing was sent that starts with %q", prefix)
	return packet{}
}

func (w *world) OnCancel(s *Server, _ *transport.Outbox) { w.note("told CANCEL") }

func (w *world) OnResponse(c *Client, m *wire.Message, _ *transport.Outbox) {
	w.note("told %d", m.Status)
}

func (w *world) OnFailure(c *Client, err error) { w.note("failed: %v", err) }

// serverSide and clientSide keep the two OnTerminated apart.
type serverSide struct{ *world }

func (h serverSide) OnTerminated(_ *Server, err error) {
	if err != nil {
		h.note("ended: %v", err)
	} else {
		h.note("ended")
	}
}

type clientSide struct{ *world }

func (h clientSide) OnTerminated(*Client) { h.note("ended") }

// step does one step of a scenario: "recv METHOD", "recv STATUS [METHOD]", "respond STATUS",
// "cancel", "abandon", "terminate", "fail", "full", "works".
func (w *world) step(method, s string) {
	w.t.Helper()
	verb, arg, _ := strings.Cut(s, " ")
	var status int
	n, _ := fmt.Sscanf(arg, "%d", &status)
	switch {
	case verb == "recv" && n == 1:
		of := method
		if strings.HasSuffix(arg, "CANCEL") {
			of = "CANCEL"
		}
		if !w.table.Response(view(w.t, responseText(status, of, branch, "t1")), w.flow, nil) {
			w.note("stray %s", arg)
		}
	case verb == "recv":
		if !w.table.Request(view(w.t, requestText(arg, branch)), w.flow, nil) {
			w.note("new %s", arg)
		}
	case verb == "respond":
		if err := w.server.Respond(responseText(status, method, branch, "t1"), status, nil); err != nil {
			w.note("refused: %v", err)
		}
	case verb == "cancel":
		w.client.Cancel(nil, nil)
	case verb == "abandon":
		w.client.Abandon()
	case verb == "terminate":
		w.server.Terminate()
	case verb == "full":
		w.setFail(transport.ErrQueueFull)
	case verb == "fail":
		w.setFail(fmt.Errorf("unplugged"))
	case verb == "works":
		w.setFail(nil)
	default:
		w.t.Fatalf("unknown step %q", s)
	}
}

// scenario is the life of one transaction: what is done and when, and all that it leads to and
// when.
type scenario struct {
	name    string
	network transport.Network
	method  string
	options ClientOptions
	steps   []string // "500ms recv 180"
	want    []string
	left    int // transactions that are there in the end
}

func run(t *testing.T, tests []scenario, begin func(t *testing.T, w *world, s *scenario)) {
	runWith(t, Options{}, tests, begin)
}

func runWith(t *testing.T, o Options, tests []scenario, begin func(t *testing.T, w *world, s *scenario)) {
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, tt.network, o)
				begin(t, w, &tt)
				for _, s := range tt.steps {
					at, what, _ := strings.Cut(s, " ")
					d, err := time.ParseDuration(at)
					if err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Until(w.start.Add(d)))
					synctest.Wait()
					w.step(tt.method, what)
				}
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				w.mu.Lock()
				got := strings.Join(w.trace, "\n")
				w.mu.Unlock()
				if want := strings.Join(tt.want, "\n"); got != want {
					t.Errorf("got:\n%s\n\nwant:\n%s", got, want)
				}
				if n := w.table.Len(); n != tt.left {
					t.Errorf("%d transactions are left, want %d", n, tt.left)
				}
			})
		})
	}
}
