package delivery

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/sip/transaction"
	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/internal/sip/uac"
	"github.com/caddysip/caddysip/internal/snomkeys/buttons"
	"github.com/caddysip/caddysip/wire"
)

// instant answers at once, where a real table would send.
type instant struct {
	replies chan transaction.ClientHandler
}

// NewClient implements uac.Transactions.
func (i instant) NewClient(_ []byte, _ transport.Flow, h transaction.ClientHandler,
	_ *transport.Outbox, _ transaction.ClientOptions) (*transaction.Client, error) {
	i.replies <- h
	return nil, nil
}

func benchDelivery(b *testing.B, client uac.Transactions, keys int) *Delivery {
	list := make([]buttons.Button, keys)
	for i := range list {
		list[i] = buttons.Button{Key: fmt.Sprint(i + 1), Light: "on", Color: "red", Number: fmt.Sprint(100 + i), Action: "invite", Label: fmt.Sprint("Line ", i)}
	}
	var d *Delivery
	loc := location.New(location.Options{OnAdded: func(b *location.Binding) { d.NotifyRegistered(b.AOR()) }})
	d = New(Options{
		Location: loc,
		Client:   &uac.Client{Transactions: client, Validated: func(transport.Flow) bool { return true }},
		Wanted: func(_, _ string, f func(int, buttons.Button)) {
			for i := range list {
				f(i+1, list[i])
			}
		},
		Path: pathOf,
		Flow: func(b *location.Binding) (transport.Flow, wire.HostPort, bool) {
			return b.Flow(), wire.HostPort{Addr: netip.MustParseAddrPort("192.0.2.1:5060")}, true
		},
		Logger: zap.NewNop,
	})
	b.Cleanup(func() {
		d.Close()
		loc.Close()
	})
	d.Configure(Settings{Rate: 1e9})
	d.Use(nil)
	return d
}

func (d *Delivery) benchRegister(b *testing.B, i int) {
	uri, err := wire.ParseURI(fmt.Appendf(nil, "sip:1%d@192.0.2.7:5060;line=%d", i, i))
	if err != nil {
		b.Fatal(err)
	}
	u := &location.Update{
		AOR: fmt.Appendf(nil, "1%d@example.com", i), CallID: fmt.Appendf(nil, "call-%d", i), CSeq: 1, UserAgent: []byte(snom370),
		Flow:     transport.Flow{Remote: netip.MustParseAddrPort("192.0.2.7:5060")},
		Contacts: []location.ContactUpdate{{URI: uri, Expires: 7200, Q: 1000}},
	}
	if err := d.options.Location.Update(u, new(location.Result)); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkPush is what it takes to find out what a phone with 12 keys lacks, to write the message,
// and to note the answer.
func BenchmarkPush(b *testing.B) {
	const keys = 12
	client := instant{make(chan transaction.ClientHandler, maxSlots)}
	d := benchDelivery(b, client, keys)
	for i := range b.N/keys + 1 {
		d.benchRegister(b, i)
	}
	ok := &wire.Message{IsResponse: true, Status: 200}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		(<-client.replies).OnResponse(nil, ok, nil)
	}
}

// BenchmarkRegistered is what a phone's registration costs on the path of packets when something
// has to be looked at.
func BenchmarkRegistered(b *testing.B) {
	d := benchDelivery(b, instant{}, 0)
	aors := make([]string, 10000)
	for i := range aors {
		aors[i] = fmt.Sprintf("1%d@example.com", i)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		d.NotifyRegistered(aors[i%len(aors)])
		i++
	}
}

// BenchmarkRest is what a phone with 12 keys takes when there is nothing to do.
func BenchmarkRest(b *testing.B) {
	const phones, keys = 20000, 12
	for b.Loop() {
		client := instant{make(chan transaction.ClientHandler, maxSlots)}
		d := benchDelivery(b, client, keys)
		d.mu.Lock()
		d.ready = false
		d.mu.Unlock()
		for i := range phones {
			d.benchRegister(b, i)
		}
		before := heapBytes()
		d.mu.Lock()
		d.ready = true
		d.mu.Unlock()
		d.wakeUp()
		ok := &wire.Message{IsResponse: true, Status: 200}
		for range phones * keys {
			(<-client.replies).OnResponse(nil, ok, nil)
		}
		for d.busy() {
			time.Sleep(time.Millisecond)
		}
		b.ReportMetric(float64(heapBytes()-before)/phones, "B/phone")
		runtime.KeepAlive(d)
	}
}

func (d *Delivery) busy() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.waiting() || d.pending > 0
}

func heapBytes() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
