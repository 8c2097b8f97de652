package snomlrc

import (
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/sip/transaction"
	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/module/moduletest"
)

func TestRetransmission(t *testing.T) {
	s := handlertest.Start(t, "snom_lrc")
	p := s.UDP()
	counted := pushes(s)
	p.Send(invite("431", "lost"))
	p.Expect("SIP/2.0 404")
	first := p.Expect("MESSAGE ")
	if again := p.Receive(); again.Text != first.Text {
		t.Errorf("got\n%s\nafter\n%s", again.Text, first.Text)
	}
	p.Ignore(first)
	p.Answer(first, "200 OK", "p")
	p.Answer(first, "200 OK", "p")
	p.Nothing()
	if got := counted(); got != "1 acknowledged" {
		t.Errorf("counted %q", got)
	}
}

func TestRefused(t *testing.T) {
	s := handlertest.Start(t, "snom_lrc")
	for _, p := range peers(s) {
		for _, status := range []string{"415 Unsupported Media Type", "401 Unauthorized", "302 Moved Temporarily", "500 Server Internal Error", "603 Decline"} {
			counted := pushes(s)
			p.Send(invite("431", p.Transport()+status[:3]))
			p.Expect("SIP/2.0 404")
			m := message(p, "")
			p.Answer(m, "100 Trying", "")
			p.Answer(m, status, "p", "Contact: <sip:elsewhere@192.0.2.1>", `WWW-Authenticate: Digest realm="r", nonce="n"`)
			p.Answer(m, "200 OK", "p") // too late
			p.Nothing()
			if got := counted(); got != "1 refused" {
				t.Errorf("%s: counted %q", status, got)
			}
		}
	}
}

// logged is a logger whose entries can be waited for.
func logged() (*zap.Logger, chan zapcore.Entry) {
	entries := make(chan zapcore.Entry, 10)
	hook := zap.Hooks(func(e zapcore.Entry) error {
		entries <- e
		return nil
	})
	return zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{}), zapcore.AddSync(io.Discard), zapcore.DebugLevel), hook), entries
}

// silent is a phone that never answers.
type silent struct{ packets chan string }

func (silent) ConnClosed(*transport.Conn, error) {}
func (s silent) HandleMessage(in *transport.Inbound) {
	s.packets <- string(in.Data)
}

// TestTimeout gives the handler transactions whose time is over soon.
func TestTimeout(t *testing.T) {
	app := moduletest.App(t, `{"servers": {"s": {"listen": ["udp/127.0.0.1:5060"], "routes": [{"handle": [{"handler": "snom_lrc"}]}]}}}`)
	table := transaction.NewTable(transaction.Options{T1: 2 * time.Millisecond, T2: 8 * time.Millisecond})
	defer table.Close()
	client := inside.AppOf(app).Engine.UAC
	before := client.Transactions
	client.Transactions = table // nothing is being received
	defer func() { client.Transactions = before }()

	phone := silent{make(chan string, 1000)}
	manager := transport.NewManager(phone, transport.Options{})
	defer manager.Close()
	l, err := manager.Listen(transport.UDP, netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	logger, entries := logged()
	h := &SnomLRC{app: app, in: inside.AppOf(app), logger: logger, UserAgents: []string{"*snom*"}, Key: "2", Label: "{light}", From: "sip:server@h", Status: 404,
		lights: map[string]*light{"431": {Light: Light{Number: "431", Light: "on"}, body: []byte("k=2")}}}
	request := func(id string, f transport.Flow) *module.Request {
		text := strings.ReplaceAll(strings.ReplaceAll(invite("431", id), "{me}", "127.0.0.1:9"), "{transport}", "UDP")
		r, err := module.NewRequest([]byte(strings.ReplaceAll(text, "\n", "\r\n")), f.Remote, f.Local, app.Servers["s"])
		if err != nil {
			t.Fatal(err)
		}
		inside.RequestOf(r).Flow = f
		return r
	}
	var w moduletest.Recorder
	var next moduletest.Next

	timeouts, failures := value(t, unanswered), value(t, failed)
	if err := h.ServeSIP(&w, request("timeout", l.Flow(l.Addr())), next.Serve); err != nil {
		t.Fatal(err)
	}
	if w.Status() != 404 || next.Calls != 0 {
		t.Errorf("status %d, %d calls", w.Status(), next.Calls)
	}
	// What was answered before is left alone.
	if err := h.ServeSIP(&w, request("answered", l.Flow(l.Addr())), next.Serve); err != nil || next.Calls != 1 {
		t.Errorf("%d calls, %v", next.Calls, err)
	}
	first := <-phone.packets
	for range 3 {
		if again := <-phone.packets; again != first {
			t.Errorf("got\n%s\nafter\n%s", again, first)
		}
	}
	if e := <-entries; e.Level != zapcore.WarnLevel || !strings.Contains(e.Message, "did not answer") {
		t.Errorf("logged %+v", e)
	}
	if value(t, unanswered) != timeouts+1 || value(t, failed) != failures {
		t.Errorf("counted %v timeouts and %v failures", value(t, unanswered)-timeouts, value(t, failed)-failures)
	}

	// A socket that is gone takes nothing: the call is answered all the same.
	closed, err := manager.Listen(transport.UDP, netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	f := closed.Flow(l.Addr())
	closed.Close()
	w = moduletest.Recorder{}
	if err := h.ServeSIP(&w, request("closed", f), next.Serve); err != nil || w.Status() != 404 {
		t.Errorf("status %d, %v", w.Status(), err)
	}
	if e := <-entries; e.Level != zapcore.WarnLevel || !strings.Contains(e.Message, "could not be sent") {
		t.Errorf("logged %+v", e)
	}
	if value(t, failed) != failures+1 {
		t.Errorf("counted %v failures", value(t, failed)-failures)
	}
}

// value returns what a counter has come to.
func value(t *testing.T, c prometheus.Collector) float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families[0].GetMetric()[0].GetCounter().GetValue()
}
