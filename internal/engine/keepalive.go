package engine

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/metrics"
	"github.com/caddysip/caddysip/internal/seen"
	"github.com/caddysip/caddysip/internal/sip/transaction"
	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/internal/sip/uac"
	"github.com/caddysip/caddysip/wire"
)

// KeepAlive says how the NATs of phones are kept open. It is for UDP: connections are kept alive by
// the system.
type KeepAlive struct {
	Interval time.Duration
	Options  bool // OPTIONS, which the phone answers, instead of empty lines
}

const (
	// maxPings is how many OPTIONS may wait for an answer at a time. A phone whose turn comes when
	// there are that many is skipped until its next turn.
	maxPings = 4096
	// maxUnanswered is after how many unanswered OPTIONS in a row a phone is taken to have gone.
	maxUnanswered = 3
	// unansweredTime is how long unanswered OPTIONS are remembered. A refresh makes another
	// binding, whose count starts at 0; the old count is dropped after this time.
	unansweredTime = 10 * time.Minute
	// keepersBits makes room for 65,536 phones that send keep-alives of their own, in 512 KiB. One
	// that has lost its entry gets one more from us.
	keepersBits = 13
)

var keepAlives = metrics.Counters(
	"keepalives_total",
	"Keep-alives to phones: sent, an OPTIONS answered or unanswered, a registration ended "+
		"for that.",
	"event",
)

var emptyLines = []byte("\r\n\r\n") // RFC 5626 §3.5.1

// keepAlive sends keep-alives.
type keepAlive struct {
	engine  *Engine
	start   time.Time
	keepers atomic.Pointer[seen.Table] // sources that send keep-alives themselves; nil: none matter

	pingers []*pinger      // those of the generation in force; guarded by Engine.mu
	tasks   sync.WaitGroup // their goroutines

	mu    sync.Mutex
	pings map[uint64]*ping // by bindingHash
	out   int              // how many of them wait for an answer
}

// pinger sends the keep-alives of one server.
type pinger struct {
	*KeepAlive
	k         *keepAlive
	listeners []*transport.Listener
	stop      chan struct{}
}

// useKeepAlive starts sending the keep-alives of g, and stops all others. The caller holds e.mu.
func (e *Engine) useKeepAlive(g *Generation) {
	k := &e.keepAlive
	for _, p := range k.pingers {
		close(p.stop)
	}
	k.pingers = nil
	if g == nil {
		return
	}
	for i, setting := range g.KeepAlive {
		if setting == nil || g.Listeners[i].Network() != transport.UDP {
			continue
		}
		at := slices.IndexFunc(k.pingers, func(p *pinger) bool { return p.KeepAlive == setting })
		if at < 0 {
			at = len(k.pingers)
			p := &pinger{KeepAlive: setting, k: k, stop: make(chan struct{})}
			k.pingers = append(k.pingers, p)
		}
		k.pingers[at].listeners = append(k.pingers[at].listeners, g.Listeners[i])
	}
	if len(k.pingers) > 0 && k.keepers.Load() == nil {
		k.keepers.Store(seen.New(keepersBits))
	}
	for _, p := range k.pingers {
		k.tasks.Go(p.run)
	}
}

// noteKeepAlive records that a phone keeps its NAT open itself.
func (k *keepAlive) noteKeepAlive(f transport.Flow) {
	if t := k.keepers.Load(); t != nil && !f.Network.Reliable() {
		t.Add(hashOf(f))
	}
}

// noteRequest recognises the requests with which phones keep their NATs open.
func (k *keepAlive) noteRequest(m *wire.Message, f transport.Flow) {
	if m.Method == wire.OPTIONS || m.Method == wire.NOTIFY {
		k.noteKeepAlive(f)
	}
}

// run goes through all phones once in an interval, a part at a time. Whose turn it is depends on
// the time alone, so that a reload changes nothing.
func (p *pinger) run() {
	step := max(p.Interval/location.Parts, time.Millisecond)
	turn := func() int64 { return int64(time.Since(p.k.start) / step) }
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	var room []*location.Binding
	for done := turn(); ; {
		select {
		case <-p.stop:
			return
		case <-ticker.C:
		}
		now := turn()
		for done = max(done, now-location.Parts); done < now; done++ {
			part := int((done + 1) % location.Parts)
			if part == 0 && p.Options {
				p.k.forget()
			}
			room = p.k.engine.Location.Part(part, room[:0])
			for _, b := range room {
				p.ping(b)
			}
			clear(room)
		}
	}
}

// ping sends a phone a keep-alive, if it needs one.
func (p *pinger) ping(b *location.Binding) {
	e := p.k.engine
	f := b.Flow()
	if f.Network.Reliable() || b.Path() != "" ||
		f.Listener != nil && !slices.Contains(p.listeners, f.Listener) {
		return
	}
	age := time.Duration(e.Location.Age(b)) * time.Second
	if age < p.Interval || p.k.keepers.Load().Has(hashOf(f), max(time.Minute, 2*p.Interval)) {
		return
	}
	f, sentBy, ok := e.FlowToPhone(b)
	if !ok || !slices.Contains(p.listeners, f.Listener) {
		return
	}
	if !p.Options {
		if f.Send(emptyLines) == nil {
			keepAlives.WithLabelValues("sent").Inc()
		}
		return
	}
	x := p.k.begin(b)
	if x == nil {
		return
	}
	r := &uac.Request{
		Flow: f, SentBy: sentBy, Method: "OPTIONS", URI: []byte(b.Contact()), Contact: true,
	}
	r.SetAOR(b.AOR())
	if err := e.UAC.Send(&x.exchange, r, x, nil); err != nil {
		x.Done(nil, err)
		return
	}
	keepAlives.WithLabelValues("sent").Inc()
}

// ping is an OPTIONS that waits for its answer, and the count of those that got none.
type ping struct {
	exchange   uac.Exchange
	k          *keepAlive
	binding    *location.Binding
	out        bool
	unanswered int
	last       time.Time // when the last one was given up
}

// begin returns the ping that waits for the answer to an OPTIONS, nil if none is to be sent now.
func (k *keepAlive) begin(b *location.Binding) *ping {
	key := bindingHash(b)
	k.mu.Lock()
	defer k.mu.Unlock()
	x := k.pings[key]
	if k.out >= maxPings || x != nil && x.out {
		return nil
	}
	if x == nil {
		x = &ping{k: k, binding: b}
		k.pings[key] = x
	}
	x.out = true
	k.out++
	return x
}

// Done implements uac.Handler. Whatever a phone answers, it is there.
func (x *ping) Done(final *wire.Message, err error) {
	k, e, b := x.k, x.k.engine, x.binding
	key := bindingHash(b)
	k.mu.Lock()
	x.out = false
	k.out--
	if final == nil && err != transaction.ErrClosed {
		x.unanswered++
		x.last = time.Now()
	}
	gone := x.unanswered >= maxUnanswered
	if final != nil || gone {
		delete(k.pings, key)
	}
	k.mu.Unlock()
	switch {
	case final != nil:
		keepAlives.WithLabelValues("answered").Inc()
		e.MarkHeard(b)
		if final.Status < 300 {
			e.Delivery.NotifyAnswered(b.AOR(), b.Contact(), true)
		}
	case err == transaction.ErrClosed:
	default:
		keepAlives.WithLabelValues("unanswered").Inc()
		e.MarkSilent(b)
		if gone && e.Location.RemoveBinding(b) {
			keepAlives.WithLabelValues("ended").Inc()
			contact := string(wire.WithoutPassword([]byte(b.Contact())))
			e.Logger().Info("a phone does not answer OPTIONS any more, its registration ends",
				zap.String("aor", wire.ForLog(b.AOR())),
				zap.String("contact", wire.ForLog(contact)),
				zap.Stringer("source", b.Source()))
		}
	}
}

// forget drops the counts of bindings that have been replaced or have ended.
func (k *keepAlive) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for key, x := range k.pings {
		if !x.out && time.Since(x.last) > unansweredTime {
			delete(k.pings, key)
		}
	}
}
