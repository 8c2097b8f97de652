package phone

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"

	"github.com/caddysip/caddysip/internal/snomkeys/buttons"
)

// ErrClosed is returned by methods of a phone that is not started or has been closed.
var ErrClosed = errors.New("the phone is closed")

// StatusError is a final response that refuses a request.
type StatusError struct {
	Method string // of the request
	Status int
	Reason string
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("%s was answered %d %s", e.Method, e.Status, e.Reason)
}

// Phone is a simulated phone. Make one with New.
type Phone struct {
	cfg    Config
	log    *slog.Logger
	domain sip.Uri // sip:domain
	aor    sip.Uri // sip:user@domain
	line   string  // the line parameter of the Contact; empty: none
	link   link

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	// sending is held for reading while a request is handed to sipgo, which
	// would open a socket of its own for one that comes after the phone's has
	// been closed.
	sending sync.RWMutex
	ua      *sipgo.UserAgent // nil unless started

	registering  sync.Mutex // one REGISTER at a time, RFC 3261 §10.2
	registration registration

	mu      sync.Mutex    // guards all below, and the calls' fields
	changed chan struct{} // closed and replaced at each change
	closed  bool
	state   State
	calls   []*Call // that have not ended, oldest first
}

// New returns a phone that does nothing yet.
func New(cfg Config) (*Phone, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("phone: %w", err)
	}
	p := &Phone{cfg: cfg, log: cfg.Logger, changed: make(chan struct{})}
	p.state.Keys = make(map[string]buttons.Button)
	if err := sip.ParseUri("sip:"+cfg.Domain, &p.domain); err != nil ||
		strings.ContainsAny(cfg.Domain, " @<>;?\"") {
		return nil, fmt.Errorf("phone: domain %q is not the host of a SIP URI", cfg.Domain)
	}
	p.aor = p.domain
	p.aor.User = escapeUser(cfg.User)
	if !cfg.NoLine {
		p.line = token(8)
	}
	p.link.init(p)
	p.registration.init(p)
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p, nil
}

// Start opens the phone's socket, or its connection to the server. ctx limits
// how long that may take. It is called once.
func (p *Phone) Start(ctx context.Context) error {
	// Record-Route is kept as it came: sipgo's parser would drop its parameters
	// (RFC 3261 §12.1.1 wants them copied).
	parsers := make(map[string]sip.HeaderParser)
	for name, parser := range sip.DefaultHeadersParser() {
		if name != "record-route" && name != "route" {
			parsers[name] = parser
		}
	}
	ua, err := sipgo.NewUA(
		sipgo.WithUserAgent(p.cfg.UserAgent),
		sipgo.WithUserAgentParser(sip.NewParser(sip.WithHeadersParsers(parsers))),
		sipgo.WithUserAgentTransportLayerOptions(sip.WithTransportLayerLogger(p.log)),
		sipgo.WithUserAgentTransactionLayerOptions(
			sip.WithTransactionLayerLogger(p.log),
			sip.WithTransactionLayerTerminateOnConnClose(),
			sip.WithTransactionLayerUnhandledResponseHandler(func(*sip.Response) {}),
		),
	)
	if err != nil {
		return fmt.Errorf("phone: %w", err)
	}
	if err := p.serve(ua); err != nil {
		return fmt.Errorf("phone: %w", err)
	}
	if err := p.link.open(ctx, ua); err != nil {
		p.Close()
		ua.Close()
		return fmt.Errorf("phone: %w", err)
	}
	p.sending.Lock()
	p.ua = ua
	p.sending.Unlock()
	return nil
}

// Close stops the phone at once: it neither unregisters nor hangs up, as if
// the cable had been pulled. Whatever waits for the phone returns ErrClosed.
func (p *Phone) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	p.state.Registered = false
	p.notify()
	p.mu.Unlock()

	p.cancel()
	p.registration.stop()
	if p.link.stream {
		p.link.close() // first, as a write may be stuck in it
	}
	p.sending.Lock()
	ua := p.ua
	p.ua = nil
	p.sending.Unlock()
	p.link.close()
	if ua != nil {
		ua.Close()
	}
	p.wg.Wait()
	for _, c := range p.Calls() {
		c.end(ErrClosed)
	}
	return nil
}

// Contact returns the URI under which the phone can be reached.
func (p *Phone) Contact() string {
	c := p.contact()
	return c.Address.String()
}

// contact returns the Contact header field of the phone's requests and
// responses.
func (p *Phone) contact() *sip.ContactHeader {
	host, port := p.link.sentBy()
	uri := sip.Uri{Scheme: "sip", User: p.aor.User, Host: bracket(host), Port: port}
	if t := transports[p.cfg.Transport]; t.stream {
		uri.UriParams.Add("transport", strings.ToLower(t.via))
	}
	if p.line != "" {
		uri.UriParams.Add("line", p.line)
	}
	return &sip.ContactHeader{Address: uri}
}

// goroutine runs f until the phone is closed; false if it has been already.
func (p *Phone) goroutine(f func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.wg.Go(f)
	return true
}

// token returns n random letters and digits, for tags and the like.
func token(n int) string {
	return strings.ToLower(rand.Text())[:n]
}

// hostPort splits what net.Addr.String returns.
func hostPort(addr net.Addr) (host string, port int) {
	switch a := addr.(type) {
	case *net.UDPAddr:
		return a.IP.String(), a.Port
	case *net.TCPAddr:
		return a.IP.String(), a.Port
	}
	return addr.String(), 0
}
