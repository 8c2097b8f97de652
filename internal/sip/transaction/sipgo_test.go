package transaction

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"

	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

// handler gives what arrives to a table.
type handler struct {
	t     *testing.T
	table *Table
}

func (h handler) HandleMessage(in *transport.Inbound) {
	m := view(h.t, in.Data)
	if !m.IsResponse {
		h.t.Errorf("got a request: %s", in.Data)
		return
	}
	h.table.Response(m, in.Flow, in.Outbox)
}

func (handler) ConnClosed(*transport.Conn, error) {}

// phone is a socket with somebody behind it who answers each request with what answer says, if
// anything.
func phone(t *testing.T, answer func(n int, m *wire.Message) []int) netip.AddrPort {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 65536)
		for i := 0; ; i++ {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			m := new(wire.Message)
			if err := m.Parse(buf[:n]); err != nil {
				t.Error(err)
				return
			}
			for _, status := range answer(i, m) {
				o := wire.ResponseOptions{ToTag: []byte("p1"), Header: []byte("WWW-Authenticate: Digest realm=\"phone\", nonce=\"n1\", algorithm=MD5\r\n")}
				_, _ = conn.WriteToUDPAddrPort(m.AppendResponse(nil, status, "Reason", from, &o), from)
			}
		}
	}()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// newSipgoClient makes a client of sipgo's that sends through a listener of ours on the loopback
// interface.
func newSipgoClient(t *testing.T, o Options) *sipgo.Client {
	table := NewTable(o)
	t.Cleanup(table.Close)
	manager := transport.NewManager(handler{t, table}, transport.Options{})
	t.Cleanup(func() { manager.Close() })
	listener, err := manager.Listen(transport.UDP, netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	ua, err := sipgo.NewUA()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ua.Close() })
	client, err := sipgo.NewClient(ua)
	if err != nil {
		t.Fatal(err)
	}
	client.TxRequester = &Requester{Table: table, Flow: func(_ context.Context, req *sip.Request) (transport.Flow, error) {
		to, err := netip.ParseAddrPort(req.Destination())
		return listener.Flow(to), err
	}}
	return client
}

func newMessage(to netip.AddrPort) *sip.Request {
	req := sip.NewRequest(sip.MESSAGE, sip.Uri{Scheme: "sip", User: "101", Host: "example.com"})
	req.SetDestination(to.String())
	req.SetBody([]byte("hello"))
	return req
}

func TestSipgoClientDo(t *testing.T) {
	to := phone(t, func(n int, m *wire.Message) []int {
		if string(m.Via.Host) != "127.0.0.1" {
			t.Errorf("the Via says %q", m.Via.Host)
		}
		if n == 0 {
			return nil // the network loses the first
		}
		if string(m.Body()) != "hello" {
			t.Errorf("the phone got\n%s", m.Raw)
		}
		return []int{100, 202}
	})
	client := newSipgoClient(t, Options{T1: 20 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	res, err := client.Do(ctx, newMessage(to))
	if err != nil {
		t.Fatal(err)
	}
	if tag, _ := res.To().Params.Get("tag"); res.StatusCode != 202 || tag != "p1" {
		t.Errorf("got %s", res)
	}
}

func TestSipgoClientDigest(t *testing.T) {
	to := phone(t, func(_ int, m *wire.Message) []int {
		if !strings.HasPrefix(string(m.Header(wire.Authorization)), "Digest ") {
			return []int{401}
		}
		return []int{200}
	})
	client := newSipgoClient(t, Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req := newMessage(to)
	res, err := client.Do(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 401 {
		t.Fatalf("got %s", res)
	}
	res, err = client.DoDigestAuth(ctx, req, res, sipgo.DigestAuth{Username: "u", Password: "p"})
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 200 {
		t.Errorf("got %s", res)
	}
}

func TestSipgoClientTimeout(t *testing.T) {
	to := phone(t, func(int, *wire.Message) []int { return nil })
	client := newSipgoClient(t, Options{T1: time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := client.Do(ctx, newMessage(to)); !errors.Is(err, sip.ErrTransactionTimeout) {
		t.Errorf("got %v, want sip.ErrTransactionTimeout", err)
	}
}

// request sends an INVITE through a Requester whose packets go nowhere.
func (w *world) request(t *testing.T) sip.ClientTransaction {
	t.Helper()
	msg, err := sip.ParseMessage(requestText("INVITE", branch))
	if err != nil {
		t.Fatal(err)
	}
	r := &Requester{Table: w.table, Flow: func(context.Context, *sip.Request) (transport.Flow, error) { return w.flow, nil }}
	tx, err := r.Request(t.Context(), msg.(*sip.Request))
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

func done(tx sip.Transaction) bool {
	select {
	case <-tx.Done():
		return true
	default:
		return false
	}
}

// Whoever selects from Responses and Done must get the final response, although on TCP the
// transaction ends with it.
func TestSipgoResponseBeforeDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, transport.TCP, Options{})
		tx := w.request(t)
		for range 100 { // nobody reads
			w.step("INVITE", "recv 180")
		}
		w.step("INVITE", "recv 486")
		time.Sleep(time.Second)
		synctest.Wait()
		if w.table.Len() != 0 || done(tx) {
			t.Fatalf("%d transactions, done is %v", w.table.Len(), done(tx))
		}
		var last *sip.Response
		for len(tx.Responses()) > 0 {
			last = <-tx.Responses()
		}
		if last == nil || last.StatusCode != 486 {
			t.Errorf("the last response is %v", last)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if !done(tx) || tx.Err() != sip.ErrTransactionTerminated {
			t.Errorf("done is %v, %v", done(tx), tx.Err())
		}
		if tx.OnTerminate(nil) || tx.OnRetransmission(nil) {
			t.Error("an ended transaction takes a function to call later")
		}
	})
}

func TestSipgoRetransmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, transport.UDP, Options{})
		tx := w.request(t)
		again := 0
		tx.OnRetransmission(func(res *sip.Response) { again += res.StatusCode })
		w.step("INVITE", "recv 200")
		w.step("INVITE", "recv 202")
		if res := <-tx.Responses(); res.StatusCode != 200 || again != 202 {
			t.Errorf("got %d and %d again", res.StatusCode, again)
		}
		var ended error
		tx.OnTerminate(func(key string, err error) {
			if key != branch {
				t.Errorf("the key is %q", key)
			}
			ended = err
		})
		tx.Terminate()
		w.step("INVITE", "recv 202")
		if again != 202 || !done(tx) || ended != sip.ErrTransactionTerminated {
			t.Errorf("after Terminate: %d again, done is %v, %v", again, done(tx), ended)
		}
	})
}

func TestSipgoServerTx(t *testing.T) {
	begin := func(t *testing.T) (*world, *sip.Request, sip.ServerTransaction) {
		w := newWorld(t, transport.UDP, Options{})
		beginServer(t, w, &scenario{method: "INVITE"})
		msg, err := sip.ParseMessage(requestText("INVITE", branch))
		if err != nil {
			t.Fatal(err)
		}
		req := msg.(*sip.Request)
		return w, req, NewServerTx(w.server, req)
	}
	t.Run("cancelled", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, req, tx := begin(t)
			ringing := sip.NewResponseFromRequest(req, 180, "Ringing", nil)
			if err := tx.Respond(ringing); err != nil {
				t.Fatal(err)
			}
			var told *sip.Request
			tx.OnCancel(func(r *sip.Request) { told = r })
			w.step("INVITE", "recv CANCEL")
			if told == nil || told.Method != sip.CANCEL || told.CSeq().MethodName != sip.CANCEL || told.CSeq().SeqNo != 7 {
				t.Errorf("told of %v", told)
			}
			if req.CSeq().MethodName != sip.INVITE {
				t.Error("the INVITE was changed")
			}
			tag, _ := ringing.To().Params.Get("tag")
			if got := w.lastPacket("SIP/2.0 487").text; !strings.Contains(got, "To: <sip:101@example.com>;tag="+tag+"\r\n") {
				t.Errorf("the tag of the 180 is %s, the 487 is\n%s", tag, got)
			}
			if tx.OnCancel(nil) {
				t.Error("OnCancel takes a function after the CANCEL")
			}
			if err := tx.Respond(sip.NewResponseFromRequest(req, 200, "OK", nil)); err != ErrState {
				t.Errorf("a 200 after the 487: %v", err)
			}
			w.step("INVITE", "recv ACK")
			time.Sleep(time.Minute)
			synctest.Wait()
			if !done(tx) || tx.Err() != sip.ErrTransactionTerminated {
				t.Errorf("done is %v, %v", done(tx), tx.Err())
			}
			want := "0s sent 180,0s sent 200 for CANCEL,0s told CANCEL,0s sent 487,5s ended"
			if got := strings.Join(w.trace, ","); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	})
	t.Run("no ACK", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, req, tx := begin(t)
			var ended error
			tx.OnTerminate(func(_ string, err error) { ended = err })
			if err := tx.Respond(sip.NewResponseFromRequest(req, 486, "Busy Here", nil)); err != nil {
				t.Fatal(err)
			}
			<-tx.Done()
			synctest.Wait()
			if tx.Err() != sip.ErrTransactionTimeout || ended != sip.ErrTransactionTimeout {
				t.Errorf("got %v and %v", tx.Err(), ended)
			}
		})
	})
	t.Run("terminated", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w, req, tx := begin(t)
			tx.Terminate()
			if !done(tx) || w.table.Len() != 0 {
				t.Error("the transaction has not ended")
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if late := NewServerTx(w.server, req); !done(late) || late.OnCancel(nil) || late.OnTerminate(nil) {
				t.Error("an adapter of an ended transaction has not ended")
			}
		})
	})
}
