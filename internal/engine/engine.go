package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/ban"
	"github.com/caddysip/caddysip/internal/budget"
	"github.com/caddysip/caddysip/internal/clock"
	"github.com/caddysip/caddysip/internal/events"
	"github.com/caddysip/caddysip/internal/ipset"
	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/seen"
	"github.com/caddysip/caddysip/internal/sip/routetoken"
	"github.com/caddysip/caddysip/internal/sip/transaction"
	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/internal/sip/uac"
	"github.com/caddysip/caddysip/internal/snomkeys/delivery"
	"github.com/caddysip/caddysip/internal/snomkeys/keys"
	"github.com/caddysip/caddysip/internal/snomkeys/snom"
	"github.com/caddysip/caddysip/internal/store"
	"github.com/caddysip/caddysip/storage"
	"github.com/caddysip/caddysip/wire"
)

// Dispatcher is what a generation does with new requests. It is called on the goroutine that reads
// the socket and must not block.
type Dispatcher interface {
	// ServeRequest handles a request that belongs to no transaction. m and in are valid until it
	// returns. It returns false when the generation has no listener where the request arrived.
	ServeRequest(in *transport.Inbound, m *wire.Message) bool
}

// Address is where a generation wants a listener.
type Address struct {
	Network transport.Network
	Addr    netip.AddrPort
}

func (a Address) String() string { return a.Network.String() + "/" + a.Addr.String() }

// Generation is one configuration, while it is attached.
type Generation struct {
	Dispatcher Dispatcher
	Listen     []Address
	Logger     *zap.Logger
	Limits     []*transport.Limits // parallel to Listen; nil, or a nil element: the defaults
	Advertise  []wire.HostPort     // parallel to Listen; nil, or no port: nothing is advertised
	Memory     int64               // bytes the process may use; 0: half of the machine's
	Storage    storage.Storage     // where registrations and keys are saved; nil: nowhere
	Grace      time.Duration       // how long listeners that this generation removes are drained

	KeepAlive []*KeepAlive // parallel to Listen; nil, or a nil element: none

	Edges ipset.Set // the edge proxies whose Path is followed (RFC 3327)

	Profiles []keys.ProfileConfig // key profiles
	Models   snom.Models          // phone models, besides the built-in ones
	Delivery delivery.Settings    // how phones are told what their keys show

	// Listeners are the open sockets, parallel to Listen. Attach sets them.
	Listeners []*transport.Listener

	storage  storage.Engine
	restored bool // all registrations in memory were read from storage
}

// Engine is what all configurations of a process share. Its exported fields are set by New and safe
// for concurrent use.
type Engine struct {
	Transactions *transaction.Table
	UAC          *uac.Client
	Location     *location.Store
	Transport    *transport.Manager
	Bans         *ban.List
	Events       *events.Bus
	Keys         *keys.Store
	Delivery     *delivery.Delivery
	Budget       *budget.Budget
	Calls        *routetoken.Calls

	clock         *clock.Clock
	clockWatch    clockWatch
	current       atomic.Pointer[Generation]
	detaching     atomic.Pointer[Generation] // Logger uses it: what fails at the end is logged
	draining      atomic.Pointer[map[*transport.Listener]*Generation]
	messages      sync.Pool
	recent        recent
	validated     *seen.Table
	silent        *seen.Table // phones that did not answer
	authenticated *ban.Marks  // users with the right password, and where they are
	starting      atomic.Bool // Attach is attaching the first generation

	registrations *store.WriteBehind // saves Location
	garbage       garbage
	idleMemory    idleMemory
	keepAlive     keepAlive

	mu        sync.Mutex
	stack     []*Generation
	listeners map[Address]*listener
	stores    map[string]storage.Engine // open storages, by identity
}

// Network is where engines made by New open their sockets; nil is the operating system. Tests that
// run a whole server on an in-memory network set it.
var Network transport.Net

// New returns an engine that listens nowhere yet. It must be closed with Destruct.
func New() *Engine { return newAt(clock.New()) }

// newAt returns an engine with that clock.
func newAt(c *clock.Clock) *Engine {
	e := &Engine{
		clock:     c,
		Budget:    new(budget.Budget),
		Calls:     routetoken.NewCalls(),
		listeners: make(map[Address]*listener),
		stores:    make(map[string]storage.Engine),
	}
	e.validated = seen.New(validatedBits)
	e.silent = seen.New(silentBits)
	e.keepAlive = keepAlive{engine: e, start: time.Now(), pings: make(map[uint64]*ping)}
	e.authenticated = ban.NewMarks(authenticatedBits)
	e.messages.New = func() any { return new(wire.Message) }
	e.Transactions = transaction.NewTable(transaction.Options{
		Validated:     e.Validated,
		MarkValidated: e.MarkValidated,
		Budget:        e.Budget,
		Count:         countTransaction,
		Recovered:     e.recovered,
	})
	e.UAC = &uac.Client{Transactions: e.Transactions, Validated: e.Validated}
	e.registrations = store.NewWriteBehind(e.source())
	e.Events = events.New(e.Budget)
	e.Location = location.New(e.locationOptions())
	e.Keys = e.newKeys()
	e.Delivery = e.newDelivery()
	e.Bans = ban.New(
		ban.Options{OnBan: func(source netip.Prefix) { e.Transport.CloseFrom(source) }},
	)
	e.Transport = transport.NewManager(e, transport.Options{
		Net:     Network,
		Limits:  transport.Limits{Message: wire.MaxSize},
		Budget:  e.Budget,
		Refuse:  e.Bans.Banned,
		Dropped: func(reason string) { Dropped(reason).Inc() },
		Traffic: countTraffic,

		Unreachable: e.unreachable,
		KeepAlive:   e.keepAlive.noteKeepAlive,
	})
	e.watchClock()
	e.idleMemory.start(e.adaptGarbage)
	return e
}

// Destruct closes all listeners and connections, saves what is pending, and closes the storages. It
// implements caddy.Destructor.
func (e *Engine) Destruct() error {
	e.mu.Lock()
	e.checkClock()
	e.useKeepAlive(nil)
	e.mu.Unlock()
	e.keepAlive.tasks.Wait()
	e.clockWatch.loop.Close()
	e.idleMemory.loop.Close()
	err := e.Transport.Close()
	e.Delivery.Close()
	e.Transactions.Close()
	e.Location.Close()
	e.registrations.Close()
	e.Keys.Close()
	e.Events.Close()
	e.garbage.restore()
	e.garbage.limitMemory(0)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stack = nil
	e.closeStorage()
	return err
}

// Logger returns the logger of the generation in force, or a no-op logger if there is none.
func (e *Engine) Logger() *zap.Logger {
	g := e.current.Load()
	if g == nil {
		g = e.detaching.Load()
	}
	if g != nil && g.Logger != nil {
		return g.Logger
	}
	return zap.NewNop()
}

// Attach opens the storage and the listeners that g wants and that are not open yet, and puts g in
// force. If one of them cannot be opened, Attach closes what it has just opened and returns the
// error; the generation in force before stays in force.
func (e *Engine) Attach(g *Generation) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.checkClock()
	// The registrations are in memory before a packet can arrive.
	if err := e.openStorage(g); err != nil {
		return fmt.Errorf("opening the storage: %w", err)
	}
	loaded, err := e.Keys.Load(g.storage)
	if err != nil {
		e.closeStorage()
		return err
	}
	if err := e.openListeners(g); err != nil {
		e.closeStorage()
		return err
	}
	e.starting.Store(len(e.stack) == 0) // what was saved before the start is no change
	loaded()
	e.Keys.SetProfiles(g.Profiles, g.Models)
	e.starting.Store(false)
	e.useStorage(g) // before the first packet changes anything
	e.undrain(g)
	g.applyLimits()
	e.limitMemory(g)
	e.stack = append(e.stack, g)
	e.publishDraining()
	e.current.Store(g)
	e.useDelivery(g)
	e.useKeepAlive(g)
	return nil
}

// Detach takes g out of force. The generation attached last before it is in force again, listeners
// that no generation wants any more are drained or closed, and storages that none wants are closed.
// Detaching twice does nothing.
func (e *Engine) Detach(g *Generation) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.checkClock()
	i := slices.Index(e.stack, g)
	if i < 0 {
		return
	}
	rollback := i == len(e.stack)-1
	e.stack = slices.Delete(e.stack, i, i+1)
	var top *Generation
	if n := len(e.stack); n > 0 {
		top = e.stack[n-1]
	}
	e.detaching.Store(g)
	defer e.detaching.Store(nil)
	e.current.Store(top)
	if top != nil {
		top.applyLimits()
		e.limitMemory(top)
	}
	e.releaseListeners(g, rollback)
	e.publishDraining()
	e.useStorage(top)
	e.useKeys(top)
	e.useDelivery(top)
	e.useKeepAlive(top)
	e.closeStorage()
}

// HandleMessage handles one message from the network. It implements transport.Handler.
func (e *Engine) HandleMessage(in *transport.Inbound) {
	if e.Bans.Banned(in.Flow.Remote.Addr()) {
		droppedBanned.Inc()
		return
	}
	m := e.messages.Get().(*wire.Message)
	defer func() {
		if p := recover(); p != nil {
			e.recovered(p) // m may be in any state: it does not go back into the pool
		}
	}()
	e.handle(in, m)
	e.messages.Put(m)
}

// recovered counts and logs a panic. One bad message must not end the process, whatever bug it
// meets.
func (e *Engine) recovered(p any) {
	panics.Inc()
	e.Logger().Error("panic while handling a message",
		zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
}

func (e *Engine) handle(in *transport.Inbound, m *wire.Message) {
	headers := in.Flow.Limits().Headers
	if headers == 0 {
		headers = wire.DefaultMaxHeaders
	}
	err := m.ParseWithin(in.Data, headers)
	if in.Err != nil {
		err = frameError(in.Err, err)
	}
	if err != nil {
		e.refuse(in, m, err)
		return
	}
	if m.IsResponse {
		if !e.Transactions.Response(m, in.Flow, in.Outbox) {
			droppedStray.Inc()
		}
		return
	}
	e.keepAlive.noteRequest(m, in.Flow)
	if e.Transactions.Request(m, in.Flow, in.Outbox) {
		return
	}
	if isStatelessACK(m) {
		return
	}
	g := e.current.Load()
	if g == nil {
		droppedIdle.Inc()
		return
	}
	if sheddable(m) && !e.admit(in, m) {
		return
	}
	if g.Dispatcher.ServeRequest(in, m) || e.serveDraining(in, m) {
		return
	}
	droppedRetired.Inc()
	if in.Flow.Conn != nil {
		in.Flow.Conn.Close() // the client reconnects, to a listener that is in force
	}
}

// refuse answers a request that cannot be parsed, statelessly, if it has what a response needs.
func (e *Engine) refuse(in *transport.Inbound, m *wire.Message, err error) {
	switch {
	case in.Err != nil: // counted by the transport
	case err == wire.ErrTooManyHeaders:
		droppedHeaders.Inc()
	default:
		droppedMalformed.Inc()
	}
	var perr *wire.ParseError
	if !errors.As(err, &perr) || !m.Answerable() {
		return
	}
	f := ResponseFlow(m, in.Flow)
	b := m.AppendResponse(in.Outbox.Buffer(), perr.Status, perr.Reason, in.Flow.Remote,
		&wire.ResponseOptions{ToTag: StatelessTag(nil, m)})
	_ = in.Outbox.Send(f, b)
}

// frameError returns what to answer to the message that a stream is closed for. err is from the
// transport, parsed from parsing what arrived of the message: unless the message was too large,
// that error says more.
func frameError(err, parsed error) error {
	var frame *transport.FrameError
	if !errors.As(err, &frame) {
		return parsed
	}
	switch {
	case frame.Status == 413:
		return &wire.ParseError{Status: 413, Reason: "Request Entity Too Large"}
	case frame.Status == 513:
		return &wire.ParseError{Status: 513, Reason: "Message Too Large"}
	case parsed != nil:
		return parsed
	}
	return &wire.ParseError{Status: 400, Reason: "Malformed Message"}
}

// ConnClosed ends the transactions of a connection that has closed. It implements
// transport.Handler.
func (e *Engine) ConnClosed(c *transport.Conn, err error) { e.Transactions.ConnClosed(c, err) }

// unreachable ends the transaction of a datagram that could not be delivered. It looks the table up
// each time, because tests set another.
func (e *Engine) unreachable(remote netip.AddrPort, sent []byte, err error) {
	e.Transactions.Unreachable(remote, sent, err)
}

// ResponseFlow returns the flow that the response to m is sent over, given the flow that m came
// over (RFC 3261 §18.2.2, RFC 3581 §4).
func ResponseFlow(m *wire.Message, f transport.Flow) transport.Flow {
	if !f.Network.Reliable() {
		f.Remote = m.ResponseAddr(f.Remote)
	}
	return f
}
