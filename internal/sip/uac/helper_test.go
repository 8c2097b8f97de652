package uac

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/internal/sip/transaction"
	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/test/simnet"
	"github.com/caddysip/caddysip/wire"
)

var (
	serverAddr = netip.MustParseAddrPort("192.0.2.1:5060")
	phoneAddr  = netip.MustParseAddrPort("192.0.2.7:5062")
)

// world is a server with a client, and a phone that a test plays, on a network in memory.
type world struct {
	t       *testing.T
	client  *Client
	table   *transaction.Table
	manager *transport.Manager
	flow    transport.Flow // to the phone, over UDP
	phone   *simnet.UDPConn
	host    *simnet.Host // the phone's

	mu        sync.Mutex
	validated bool
	outcomes  []string
}

// inWorld runs a test in a bubble.
func inWorld(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		network := simnet.New(1)
		server := network.Host(serverAddr.Addr().String())
		host := network.Host(phoneAddr.Addr().String())
		table := transaction.NewTable(transaction.Options{})
		w := &world{t: t, host: host, validated: true, table: table}
		w.client = &Client{Transactions: w.table, Validated: func(f transport.Flow) bool {
			if f.Remote != w.flow.Remote {
				t.Errorf("asked about %v", f.Remote)
			}
			return w.validated
		}}
		w.manager = transport.NewManager(w, transport.Options{Net: server, UDPSockets: 1})
		listener, err := w.manager.Listen(transport.UDP, serverAddr)
		if err != nil {
			t.Fatal(err)
		}
		w.flow = listener.Flow(phoneAddr)
		if w.phone, err = host.ListenUDP(phoneAddr); err != nil {
			t.Fatal(err)
		}
		defer func() {
			w.phone.Close()
			w.manager.Close()
			w.table.Close()
		}()
		f(w)
	})
}

// HandleMessage implements transport.Handler.
func (w *world) HandleMessage(in *transport.Inbound) {
	var m wire.Message
	if err := m.Parse(in.Data); err != nil {
		w.t.Errorf("%v: %s", err, in.Data)
		return
	}
	w.table.Response(&m, in.Flow, in.Outbox)
}

// ConnClosed implements transport.Handler.
func (w *world) ConnClosed(c *transport.Conn, _ error) { w.table.ConnClosed(c, io.EOF) }

// Done implements Handler.
func (w *world) Done(final *wire.Message, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if final != nil {
		w.outcomes = append(w.outcomes, fmt.Sprint(final.Status, " ", string(final.Reason())))
	} else {
		w.outcomes = append(w.outcomes, err.Error())
	}
}

// request returns a MESSAGE to the phone.
func (w *world) request() *Request {
	r := &Request{
		Flow: w.flow, SentBy: wire.HostPort{Addr: serverAddr}, Method: "MESSAGE",
		URI:         []byte("sip:101@" + phoneAddr.String() + ";line=x"),
		ContentType: "text/plain", Body: []byte("Hello"),
	}
	r.SetAOR("101@example.com")
	return r
}

// send sends a request, which must work.
func (w *world) send(r *Request) {
	w.t.Helper()
	if err := w.client.Send(new(Exchange), r, w, nil); err != nil {
		w.t.Fatal(err)
	}
}

// receive returns what the phone gets next within a minute; empty: nothing.
func (w *world) receive() string {
	w.t.Helper()
	_ = w.phone.SetReadDeadline(time.Now().Add(time.Minute))
	buf := make([]byte, 65536)
	n, _, err := w.phone.ReadFrom(buf)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ""
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return string(buf[:n])
}

// answer has the phone answer a request.
func (w *world) answer(request, status string, lines ...string) {
	w.t.Helper()
	text := response(request, status, lines...)
	if _, err := w.phone.WriteTo([]byte(text), net.UDPAddrFromAddrPort(serverAddr)); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
	time.Sleep(time.Millisecond)
	synctest.Wait()
}

func response(request, status string, lines ...string) string {
	text := "SIP/2.0 " + status + "\r\n"
	for _, name := range []string{"Via", "From", "To", "Call-ID", "CSeq"} {
		text += name + ": " + header(request, name)
		if name == "To" {
			text += ";tag=p"
		}
		text += "\r\n"
	}
	for _, line := range lines {
		text += line + "\r\n"
	}
	return text + "Content-Length: 0\r\n\r\n"
}

// header returns the value of a header field, empty when it isn't there.
func header(message, name string) string {
	_, rest, found := strings.Cut(message, "\r\n"+name+": ")
	if !found {
		return ""
	}
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}

// expect compares what the sender was told.
func (w *world) expect(want ...string) {
	w.t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := strings.Join(w.outcomes, ", "); got != strings.Join(want, ", ") {
		w.t.Errorf("the outcome is %q, not %q", got, want)
	}
}

// nothing sees that the phone gets nothing more.
func (w *world) nothing() {
	w.t.Helper()
	if got := w.receive(); got != "" {
		w.t.Errorf("the phone gets\n%s", got)
	}
}

// settle lets all that is on its way come to its end.
func (w *world) settle() {
	time.Sleep(time.Minute)
	synctest.Wait()
}
