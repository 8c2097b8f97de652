package delivery

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddysip/caddysip/internal/budget"
	"github.com/caddysip/caddysip/internal/clock"
	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/sip/transaction"
	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/internal/sip/uac"
	"github.com/caddysip/caddysip/internal/snomkeys/buttons"
	"github.com/caddysip/caddysip/internal/store"
	"github.com/caddysip/caddysip/storage"
	"github.com/caddysip/caddysip/wire"
)

const snom370 = "snom370/8.7.5.48"

// pathOf believes every Path.
func pathOf(b *location.Binding) []byte {
	if b.Path() == "" {
		return nil
	}
	return []byte(b.Path())
}

// world is a server with phones, in a synctest bubble.
type world struct {
	t    testing.TB
	loc  *location.Store
	d    *Delivery
	kept storage.Engine

	budget   budget.Budget
	clock    *clock.Clock
	clockSet time.Duration // how far the system's clock was set

	mu        sync.Mutex
	keys      map[string]map[int]string // by address-of-record: the labels
	phones    map[string]*fake          // by Contact
	sent      []message
	cseq      uint32
	events    []string
	count     map[string]int
	broken    bool // the way to phones is gone
	script    answer
	challenge string // header lines of answers
	closed    bool   // there are no transactions any more
	exchanges map[*exchange]bool
	logs      *observer.ObservedLogs
	logger    *zap.Logger
}

// answer is how phones answer; status 0: not at all. nil: 200 at once.
type answer func(m message) (status int, after time.Duration)

func (w *world) answer(a answer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.script = a
}

// fake is a phone.
type fake struct {
	w        *world
	aor      string
	contact  string
	inFlight int
	shows    map[string]string // the documents of its keys
	order    map[string]int    // the highest number in a label of a key that it was shown
}

type message struct {
	at      time.Time
	contact string
	body    string
	text    string
}

// inWorld runs a test in a bubble.
func inWorld(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer func() {
			w.d.Close()
			w.loc.Close()
			time.Sleep(time.Hour) // what still flies comes down
			w.kept.Close()
		}()
		f(w)
	})
}

// memory is a storage that is not known to be one that keeps nothing.
type memory struct{ storage.Engine }

func newWorld(t testing.TB) *world {
	w := &world{
		t: t, kept: memory{store.NewMemory()},
		keys: make(map[string]map[int]string), phones: make(map[string]*fake), count: make(map[string]int), exchanges: make(map[*exchange]bool),
	}
	core, logs := observer.New(zap.InfoLevel)
	w.logs, w.logger = logs, zap.New(core)
	w.clock = clock.FromWall(func() time.Time { return time.Now().Add(w.clockSet) })
	w.loc = location.New(location.Options{
		Clock:     w.clock,
		OnAdded:   func(b *location.Binding) { w.d.NotifyRegistered(b.AOR()) },
		OnRemoved: func(b *location.Binding, _ bool) { w.d.NotifyRegistered(b.AOR()) },
		OnExpired: func(b *location.Binding) { w.d.NotifyRegistered(b.AOR()) },
		OnMoved:   func(b *location.Binding) { w.d.NotifyRegistered(b.AOR()) },
	})
	w.start()
	return w
}

func (w *world) start() {
	w.d = New(Options{
		Budget:   &w.budget,
		Clock:    w.clock,
		Location: w.loc,
		Client:   &uac.Client{Transactions: w, Validated: func(transport.Flow) bool { return true }},
		Wanted: func(aor, _ string, f func(int, buttons.Button)) {
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, key := range sortedKeys(w.keys[aor]) {
				f(key, buttons.Button{Key: fmt.Sprint(key), Light: "on", Label: w.keys[aor][key]})
			}
		},
		Path: pathOf,
		Flow: func(b *location.Binding) (transport.Flow, wire.HostPort, bool) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return b.Flow(), wire.HostPort{Addr: netip.MustParseAddrPort("192.0.2.1:5060")}, !w.broken
		},
		Emit: func(name string, data map[string]any) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, fmt.Sprint(name, " ", data["aor"], " ", data["key"], " ", data["status"]))
		},
		Count: func(outcome string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.count[outcome]++
		},
		Logger: func() *zap.Logger { return w.logger },
		Failed: func() { w.t.Error("the storage failed") },
	})
	w.d.Use(w.kept)
}

// restart ends the delivery and starts another one.
func (w *world) restart() {
	w.mu.Lock()
	w.closed = true
	all := slices.Collect(maps.Keys(w.exchanges))
	w.mu.Unlock()
	for _, fl := range all {
		w.land(fl, func() { fl.h.OnFailure(nil, transaction.ErrClosed) })
	}
	w.d.Close()
	w.closed = false
	w.start()
}

func sortedKeys(m map[int]string) []int {
	list := make([]int, 0, len(m))
	for k := range m {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

// set sets the label of keys, or with an empty one takes them away.
func (w *world) set(aor, label string, keys ...int) {
	w.mu.Lock()
	if w.keys[aor] == nil {
		w.keys[aor] = make(map[int]string)
	}
	for _, k := range keys {
		if label == "" {
			delete(w.keys[aor], k)
		} else {
			w.keys[aor][k] = label
		}
	}
	w.mu.Unlock()
	w.d.NotifyChanged(aor, keys...)
}

// registration is a REGISTER.
type registration struct {
	aor, contact, callID, userAgent, source, instance string
	expires                                           uint32
}

// register registers a phone; what is not given is usual.
func (w *world) register(r registration) *fake {
	w.t.Helper()
	or := func(s *string, d string) {
		if *s == "" {
			*s = d
		}
	}
	or(&r.aor, "101@example.com")
	or(&r.contact, "sip:101@192.0.2.7:5060;line=abc")
	or(&r.callID, "1")
	or(&r.userAgent, snom370)
	or(&r.source, sourceOf(r.aor))
	if r.expires == 0 {
		r.expires = 3600
	}
	w.mu.Lock()
	w.cseq++
	f := w.phones[r.contact]
	if f == nil {
		f = &fake{w: w, aor: r.aor, contact: r.contact, shows: make(map[string]string), order: make(map[string]int)}
		w.phones[r.contact] = f
	}
	cseq := w.cseq
	w.mu.Unlock()
	uri, err := wire.ParseURI([]byte(r.contact))
	if err != nil {
		w.t.Fatal(err)
	}
	if r.expires == 1<<32-1 {
		r.expires = 0
	}
	u := &location.Update{
		AOR: []byte(r.aor), CallID: []byte(r.callID), CSeq: cseq, UserAgent: []byte(r.userAgent),
		Flow:     transport.Flow{Remote: netip.MustParseAddrPort(r.source)},
		Contacts: []location.ContactUpdate{{URI: uri, Expires: r.expires, Q: 1000, Instance: []byte(r.instance)}},
	}
	if err := w.loc.Update(u, new(location.Result)); err != nil {
		w.t.Fatal(err)
	}
	return f
}

// sourceOf returns where the telephone of a user is.
func sourceOf(aor string) string {
	if aor == alice {
		return "192.0.2.7:5060"
	}
	h := textHash(aor)
	return fmt.Sprintf("10.%d.%d.%d:5060", byte(h), byte(h>>8), byte(h>>16))
}

const gone = 1<<32 - 1 // registration.expires of one that ends

// NewClient implements uac.Transactions.
func (w *world) NewClient(b []byte, _ transport.Flow, h transaction.ClientHandler,
	_ *transport.Outbox, _ transaction.ClientOptions) (*transaction.Client, error) {
	var m wire.Message
	if err := m.Parse(slices.Clone(b)); err != nil {
		w.t.Errorf("%v: %s", err, b)
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, transaction.ErrClosed
	}
	sent := message{time.Now(), string(m.RequestURI()), string(m.Body()), string(b)}
	w.sent = append(w.sent, sent)
	f := w.phones[sent.contact]
	if f == nil {
		w.t.Errorf("sent to nobody: %s", b)
		return nil, transport.ErrClosed
	}
	f.inFlight++
	if f.inFlight > 1 {
		w.t.Errorf("two messages are on their way to %s at a time", f.contact)
	}
	f.check(sent.body)
	status, after := 200, time.Duration(0)
	if w.script != nil {
		status, after = w.script(sent)
	}
	fl := &exchange{f, h}
	w.exchanges[fl] = true
	if status == 0 {
		time.AfterFunc(32*time.Second, func() { w.land(fl, func() { h.OnFailure(nil, transaction.ErrTimeout) }) })
		return nil, nil
	}
	if status < 300 {
		f.show(sent.body)
	}
	var response wire.Message
	if err := response.Parse(fmt.Appendf(nil, responseText, status, w.challenge)); err != nil {
		w.t.Error(err)
	}
	time.AfterFunc(after, func() { w.land(fl, func() { h.OnResponse(nil, &response, nil) }) })
	return nil, nil
}

const responseText = "SIP/2.0 %d x\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 MESSAGE\r\n%s\r\n"

// exchange is a message on its way.
type exchange struct {
	to *fake
	h  transaction.ClientHandler
}

// land ends a exchange, unless it has ended.
func (w *world) land(fl *exchange, tell func()) {
	w.mu.Lock()
	inFlight := w.exchanges[fl]
	if inFlight {
		delete(w.exchanges, fl)
		fl.to.inFlight--
	}
	w.mu.Unlock()
	if inFlight {
		tell()
	}
}

// check looks that no record comes after a newer one of its key: labels end in a number.
func (f *fake) check(body string) {
	for doc := range strings.SplitSeq(body, "\r\n\r\n") {
		key, _, _ := strings.Cut(doc, "\r\n")
		_, number, ok := strings.Cut(doc, "#")
		n := 0
		if ok {
			fmt.Sscan(number, &n)
			if n < f.order[key] {
				f.w.t.Errorf("%s is sent %q after #%d", f.contact, doc, f.order[key])
			}
			f.order[key] = n
		}
	}
}

func (f *fake) show(body string) {
	for doc := range strings.SplitSeq(body, "\r\n\r\n") {
		key, rest, _ := strings.Cut(doc, "\r\n")
		f.shows[key] = rest
	}
}

// got waits until there is nothing more to do at this time, and returns what was sent since it was
// called before.
func (w *world) got() []string {
	w.t.Helper()
	time.Sleep(time.Second)
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	list := []string{}
	for _, m := range w.sent {
		list = append(list, strings.ReplaceAll(m.body, "\r\n", " "))
	}
	w.sent = nil
	return list
}

func (w *world) expect(want ...string) {
	w.t.Helper()
	if got := w.got(); !slices.Equal(got, want) {
		w.t.Errorf("sent %q, not %q", got, want)
	}
}

func (w *world) state(aor, want string) {
	w.t.Helper()
	if s := w.d.Status(aor); len(s) != 1 || s[0].State != want {
		w.t.Errorf("the status is %+v, not %s", s, want)
	}
}
