package engine

import (
	"fmt"
	"net"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/wire"
)

// pinged returns an engine with one phone at a socket, and what sends it keep-alives.
func pinged(t testing.TB, k *KeepAlive) (*Engine, *pinger, *location.Binding, client) {
	t.Helper()
	e := New()
	t.Cleanup(func() { _ = e.Destruct() })
	g := generation("a", freeAddr(t))
	g.KeepAlive = []*KeepAlive{k}
	attach(t, e, g)
	phone := dial(t, g.Listeners[0].Addr())
	source := phone.Conn.LocalAddr()
	uri, err := wire.ParseURI(fmt.Appendf(nil, "sip:101@%s", source))
	if err != nil {
		t.Fatal(err)
	}
	u := location.Update{
		AOR: []byte("101@example.com"), CallID: []byte("c"), CSeq: 1,
		Contacts: []location.ContactUpdate{{URI: uri, Expires: 3600, Q: 1000}},
	}
	u.Flow = g.Listeners[0].Flow(source.(*net.UDPAddr).AddrPort())
	var r location.Result
	if err := e.Location.Update(&u, &r); err != nil {
		t.Fatal(err)
	}
	p := e.keepAlive.pingers[0]
	return e, &pinger{KeepAlive: &KeepAlive{Options: k.Options}, k: p.k, listeners: p.listeners}, r.Bindings[0], phone
}

// TestPings has more phones due than may be pinged at a time, and one that is due again before it
// has answered.
func TestPings(t *testing.T) {
	e, p, b, _ := pinged(t, &KeepAlive{Options: true, Interval: 1 << 40})
	p.ping(b)
	k := &e.keepAlive
	if k.begin(b) != nil || k.out != 1 {
		t.Errorf("it is asked twice at a time; %d are under way", k.out)
	}
	k.out = maxPings
	register(t, e, "102", 1, 3600e9)
	other := e.Location.Lookup([]byte("102@example.com"), nil)[0]
	if k.begin(other) != nil || len(k.pings) != 1 {
		t.Error("too many are asked at a time")
	}
	k.out = 1
	x := k.begin(other)
	x.Done(nil, net.ErrClosed)
	if len(k.pings) != 2 || x.unanswered != 1 || !e.IsSilent(other) {
		t.Errorf("after no answer: %+v", x)
	}
	x.last = x.last.Add(-unansweredTime - 1)
	k.forget()
	if len(k.pings) != 1 {
		t.Error("what was counted is kept for ever")
	}
}

// TestKeepAliveMetric checks that the metric can be read.
func TestKeepAliveMetric(t *testing.T) {
	e, p, b, _ := pinged(t, &KeepAlive{Interval: 1 << 40})
	before := value(t, keepAlives.WithLabelValues("sent"))
	p.ping(b)
	if n := value(t, keepAlives.WithLabelValues("sent")) - before; n != 1 {
		t.Errorf("%v are counted", n)
	}
	if !slices.Contains(e.Collectors(), prometheus.Collector(keepAlives)) {
		t.Error("it is not among the metrics")
	}
}

// BenchmarkKeepAlive is one keep-alive; with OPTIONS the phone answers it.
func BenchmarkKeepAlive(b *testing.B) {
	b.Run("crlf", func(b *testing.B) {
		_, p, binding, _ := pinged(b, &KeepAlive{Interval: 1 << 40})
		b.ReportAllocs()
		for b.Loop() {
			p.ping(binding)
		}
	})
	b.Run("options", func(b *testing.B) {
		e, p, binding, phone := pinged(b, &KeepAlive{Options: true, Interval: 1 << 40})
		buf := make([]byte, 2048)
		var m wire.Message
		b.ReportAllocs()
		for b.Loop() {
			p.ping(binding)
			n, err := phone.Read(buf)
			if err != nil || m.Parse(buf[:n]) != nil {
				b.Fatal(err)
			}
			if _, err := phone.Write(m.AppendResponse(nil, 200, "OK", binding.Source(),
				&wire.ResponseOptions{ToTag: []byte("t")})); err != nil {
				b.Fatal(err)
			}
			for e.keepAlive.outstanding() > 0 {
			}
		}
	})
}

func (k *keepAlive) outstanding() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.out
}
