// Package engine holds what outlives a configuration: sockets and connections, transactions, and the stores. There is one engine a
// process; configurations attach to it as generations, and a reload swaps one pointer.
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
	"github.com/caddysip/caddysip/internal/events"
	"github.com/caddysip/caddysip/internal/ipset"
	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/sip/routetoken"
	"github.com/caddysip/caddysip/internal/sip/transaction"
	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/internal/snomkeys/delivery"
	"github.com/caddysip/caddysip/internal/snomkeys/keys"
	"github.com/caddysip/caddysip/internal/snomkeys/snom"
	"github.com/caddysip/caddysip/internal/store"
	"github.com/caddysip/caddysip/storage"
	"github.com/caddysip/caddysip/wire"
)

// Dispatcher is what a generation of configuration does with new requests. It is called on the goroutine that reads the socket and must not block.
type Dispatcher interface {
	// ServeRequest handles a request that belongs to no transaction. m and in are valid until it returns. False means that the generation
	// has no listener where the request came.
	ServeRequest(in *transport.Inbound, m *wire.Message) bool
}

// Address is a listener that a generation wants.
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
	Limits     []*transport.Limits // of each of Listen, in this order; nil, or a nil one: the defaults
	Memory     int64               // how many bytes the process may take; 0: a share of the machine's
	Storage    storage.Storage     // where registrations and keys are kept; nil: nowhere
	Grace      time.Duration       // how long listeners that this generation removes go on

	Edges ipset.Set // the proxies whose Path is followed

	Profiles []keys.ProfileConfig // of keys
	Models   snom.Models          // of phones, beside those known
	Delivery delivery.Settings    // how phones are told their keys

	// Listeners are the open sockets, in the order of Listen. Attach sets it.
	Listeners []*transport.Listener

	storage  storage.Engine
	restored bool // all registrations are from there
}

// Engine is the process's one engine.
type Engine struct {
	Transactions *transaction.Table
	Location     *location.Store
	Transport    *transport.Manager
	Bans         *ban.List
	Events       *events.Bus
	Keys         *keys.Store
	Delivery     *delivery.Delivery
	Budget       *budget.Budget
	Calls        *routetoken.Calls

	current       atomic.Pointer[Generation]
	detaching       atomic.Pointer[Generation] // the one that is being detached: what goes wrong at the end has somewhere to be logged
	draining       atomic.Pointer[map[*transport.Listener]*Generation]
	messages      sync.Pool
	recent        recent
	validated     validatedTable
	authenticated *ban.Marks  // users with a right password, and where they are
	starting      atomic.Bool // the first generation is being attached

	registrations *store.WriteBehind // writes Location to the storage
	garbage       garbage

	mu        sync.Mutex
	stack     []*Generation
	listeners map[Address]*listener
	stores    map[string]storage.Engine // by identity
}

// Network is where an engine that New makes opens its sockets; nil is the operating system. Tests that run a whole server on
// a network in memory set it.
var Network transport.Net

// New makes an engine that listens nowhere yet.
func New() *Engine {
	e := &Engine{Budget: new(budget.Budget), Calls: routetoken.NewCalls(), listeners: make(map[Address]*listener), stores: make(map[string]storage.Engine)}
	e.validated.start = time.Now()
	e.authenticated = ban.NewMarks(authenticatedBits)
	e.messages.New = func() any { return new(wire.Message) }
	e.Transactions = transaction.NewTable(transaction.Options{
		Proven: e.Validated, Prove: e.MarkValidated, Budget: e.Budget, Count: countTransaction, Recovered: e.recovered,
	})
	e.registrations = store.NewWriteBehind(e.source())
	e.Events = events.New(e.Budget)
	e.Location = location.New(e.locationOptions())
	e.Keys = e.newKeys()
	e.Delivery = e.newDelivery()
	e.Bans = ban.New(ban.Options{OnBan: func(source netip.Prefix) { e.Transport.CloseFrom(source) }})
	e.Transport = transport.NewManager(e, transport.Options{
		Net:     Network,
		Limits:  transport.Limits{Message: wire.MaxSize},
		Budget:  e.Budget,
		Refuse:  e.Bans.Banned,
		Dropped: func(reason string) { Dropped(reason).Inc() },
		Traffic: countTraffic,
	})
	return e
}

// Destruct closes everything. It implements caddy.Destructor.
func (e *Engine) Destruct() error {
	err := e.Transport.Close()
	e.Delivery.Close()
	e.Transactions.Close()
	e.Location.Close()
	e.registrations.Close()
	e.Keys.Close()
	e.Events.Close()
	e.garbage.limit(0)
	e.garbage.limitMemory(0)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stack = nil
	e.closeStorage()
	return err
}

// Logger returns the logger of the configuration in force.
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

// Attach opens the storage and the listeners that g wants and are not open yet, and puts g in force. When one cannot be opened, what was just
// opened is closed again and what was in force stays in force.
func (e *Engine) Attach(g *Generation) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	// Before a packet can come, the registrations are there.
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
	e.starting.Store(len(e.stack) == 0) // what was said before the server started has not changed
	loaded()
	e.Keys.SetProfiles(g.Profiles, g.Models)
	e.starting.Store(false)
	e.useStorage(g) // what the first packet changes is written there
	e.undrain(g)
	g.limit()
	e.limitMemory(g)
	e.stack = append(e.stack, g)
	e.publishDraining()
	e.current.Store(g)
	e.useDelivery(g)
	return nil
}

// Detach takes g out of force: the generation attached last before it is in force again, listeners that no generation wants leave, and such
// storages are closed. Detaching twice does nothing.
func (e *Engine) Detach(g *Generation) {
	e.mu.Lock()
	defer e.mu.Unlock()
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
		top.limit()
		e.limitMemory(top)
	}
	e.releaseListeners(g, rollback)
	e.publishDraining()
	e.useStorage(top)
	e.useKeys(top)
	e.useDelivery(top)
	e.closeStorage()
}

// HandleMessage implements transport.Handler.
func (e *Engine) HandleMessage(in *transport.Inbound) {
	if e.Bans.Banned(in.Flow.Remote.Addr()) {
		droppedBanned.Inc()
		return
	}
	m := e.messages.Get().(*wire.Message)
	defer func() {
		if p := recover(); p != nil {
			e.recovered(p) // m may be in any state: it is not used again
		}
	}()
	e.handle(in, m)
	e.messages.Put(m)
}

// recovered reports a panic. One bad message must not end the process, whatever is wrong with us.
func (e *Engine) recovered(p any) {
	panics.Inc()
	e.Logger().Error("panic while handling a message", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
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
	if e.Transactions.Request(m, in.Flow, in.Outbox) {
		return
	}
	if acknowledgesStateless(m) {
		return
	}
	g := e.current.Load()
	if g == nil {
		droppedIdle.Inc()
		return
	}
	if begins(m) && !e.admit(in, m) {
		return
	}
	if g.Dispatcher.ServeRequest(in, m) || e.serveDraining(in, m) {
		return
	}
	droppedRetired.Inc()
	if in.Flow.Conn != nil {
		in.Flow.Conn.Close() // the client connects anew, to where somebody listens
	}
}

// refuse answers a request that cannot be read, statelessly, if it can be answered at all.
func (e *Engine) refuse(in *transport.Inbound, m *wire.Message, err error) {
	switch {
	case in.Err != nil: // the transport has counted it
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
	b := m.AppendResponse(in.Outbox.Buffer(), perr.Status, perr.Reason, in.Flow.Remote, &wire.ResponseOptions{ToTag: StatelessTag(nil, m)})
	_ = in.Outbox.Send(f, b)
}

// frameError returns what to answer to a message that its stream was given up for. What is wrong with the message itself may say more.
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

// ConnClosed implements transport.Handler.
func (e *Engine) ConnClosed(c *transport.Conn, err error) { e.Transactions.ConnClosed(c, err) }

// ResponseFlow returns where the response to a request is sent (RFC 3261 §18.2.2).
func ResponseFlow(m *wire.Message, f transport.Flow) transport.Flow {
	if !f.Network.Reliable() {
		f.Remote = m.ResponseAddr(f.Remote)
	}
	return f
}
