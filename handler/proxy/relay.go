package proxy

import (
	"errors"
	"fmt"
	"hash/maphash"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/sip/transaction"
	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/wire"
)

// tryingDelay is when a request that is no INVITE and has not been answered gets a 100: when the
// client has come to repeat it only every T2 (RFC 4320 §4.1).
var tryingDelay = 3500 * time.Millisecond

// responseContext is RFC 3261 §16's: one request, and all that it was forwarded to. The
// transactions hold it, and so does a goroutine that looks for a target; when they have ended it is
// gone.
type responseContext struct {
	p *Proxy
	routing

	mu        sync.Mutex
	w         module.ResponseWriter // nil when nothing is left to be done
	r         *module.Request       // nil with w
	tx        *transaction.Server
	via       uint64 // the hash of the request's branch
	branches  []*branch
	late      *transaction.Timer // sends the 100 to what is no INVITE; nil: none will be
	pending   int                // branches without a final response
	method    wire.Method
	trusted   bool // who sent the request is
	repeats   bool // without w: further 2xx go to tx
	done      bool // a final response was sent, or none will be: only 2xx follow
	stopped   bool // no further target is tried
	cancelled bool
	full      bool   // there was no room for a transaction, or at a server
	slow      bool   // too much waits for a phone
	waited    bool   // a branch has waited for something
	rerouted  bool   // it was routed once more
	denied    string // why no target was a place that the request may name
	best      best
	share     int // Max-Breadth of each branch; 0: as it is
	left      int // of the request's Max-Breadth, when share is not 0

	// The first branch has its place here: most often there is no other.
	first branch
	room  [1]*branch
}

// contexts are those that nobody holds: of requests that are refused, or forwarded without a
// transaction.
var contexts = sync.Pool{New: func() any { return new(responseContext) }}

func newContext(p *Proxy, w module.ResponseWriter, r *module.Request) *responseContext {
	c := contexts.Get().(*responseContext)
	c.p, c.w, c.r, c.method = p, w, r, r.Message().Method
	return c
}

// free gives the context back, unless somebody holds it: the transaction, or what a branch waits
// for.
func (c *responseContext) free() {
	c.mu.Lock()
	held := c.tx != nil || c.waited
	c.mu.Unlock()
	if !held {
		*c = responseContext{}
		contexts.Put(c)
	}
}

// responses are those that are being written.
var responses = sync.Pool{New: func() any { return new(module.Response) }}

var viaSeed = maphash.MakeSeed()

// hashVia returns what tells the branch of a request from others.
func hashVia(branch []byte) uint64 { return maphash.Bytes(viaSeed, branch) }

// relay makes the transaction and starts the first branches. The responses arrive later, by
// callback. An ACK, which nobody answers, is forwarded without a transaction (RFC 3261 §16.11).
func (c *responseContext) relay() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trusted, c.via = c.r.Trusted(), hashVia(c.r.Message().Via.Branch)
	if c.method == wire.ACK {
		c.next(inside.RequestOf(c.r).Outbox)
		return nil
	}
	var err error
	if c.tx, err = inside.Begin(c.r, c); errors.Is(err, transaction.ErrExists) {
		return nil // it came twice at the same time
	} else if err != nil {
		return err
	}
	out := inside.RequestOf(c.r).Outbox
	c.r.Keep()
	if c.method == wire.INVITE {
		// At once, so that the caller stops repeating (RFC 3261 §16.2).
		c.write(module.Response{Status: 100}, out)
	} else {
		c.late = c.p.in.Engine.Transactions.AfterFunc(tryingDelay, c.trying)
	}
	c.shareBreadth()
	c.next(out)
	return nil
}

func (c *responseContext) trying() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.done {
		c.write(module.Response{Status: 100}, nil)
	}
}

// next starts the next group of targets; when none is left, the best response is the answer.
func (c *responseContext) next(out *transport.Outbox) {
	for c.pending == 0 && !c.done {
		if len(c.targets) == 0 || c.stopped {
			c.finish(out)
			return
		}
		n := 1
		// What is forwarded without a transaction has one target (RFC 3261 §16.11).
		for n < len(c.targets) && c.targets[n].group == c.targets[0].group && c.method != wire.ACK {
			n++
		}
		group := c.targets[:n]
		c.targets = c.targets[n:]
		if c.share > 0 {
			if c.left < n*c.share {
				c.best.consider(nil, 440, "", true)
				continue
			}
			c.left -= n * c.share
		}
		c.pending += n
		for i := range group {
			b := &c.first
			if c.branches == nil {
				c.branches = c.room[:0]
			} else {
				b = new(branch)
			}
			b.c, b.target = c, &group[i]
			c.branches = append(c.branches, b)
			b.start(out)
		}
	}
}

// maxBreadth says into how many requests at a time this one may still be forked on its whole way
// (RFC 5393 §5): without it, users who register each other as their contacts could make one request
// a million. We let nobody have more than what RFC 5393 §5.3.3 gives a request that says nothing.
const (
	maxBreadth     = "Max-Breadth"
	defaultBreadth = 60
)

// shareBreadth gives each target its part of the request's Max-Breadth. RFC 5393 lets targets that
// are tried one after the other each have the whole of it. Here they share it as well, because a
// circle of users who each have two contacts would go on doubling otherwise, if only one at a time.
// What was configured to follow when another target fails is no fork.
func (c *responseContext) shareBreadth() {
	n := len(c.targets)
	if n < 2 || c.failover {
		return
	}
	c.left = defaultBreadth
	if v, found := c.r.Message().HeaderNamed(maxBreadth); found {
		given, err := strconv.ParseUint(string(v), 10, 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			given = 0
		}
		c.left = int(min(given, defaultBreadth))
	}
	c.share = max(1, c.left/n)
}

// finish sends the final response when all branches that are waited for have ended (RFC 3261 §16.7
// step 6).
func (c *responseContext) finish(out *transport.Outbox) {
	c.done = true
	c.cancel(nil, out) // those that were skipped
	if c.cancelled && c.best.status < 600 && c.best.status != 487 {
		c.best = best{status: 487}
	}
	res := c.best.response()
	switch {
	case c.full && c.best.status == 503:
		res.Status = 503 // it is us who are overloaded
		res.AddHeader("Retry-After", module.RetryAfter)
	case c.slow && c.best.status == 480 && c.best.raw == nil:
		res.AddHeader("Retry-After", module.RetryAfter)
	}
	if c.denied != "" && res.Status == 403 && res.Relay == nil {
		res.Reason = c.denied
	}
	c.answered(res.Status)
	switch {
	case c.method == wire.ACK:
	case c.method != wire.INVITE && res.Status == 408: // too late to be of use to anybody (RFC 4320 §4.2)
	default:
		c.write(*res, out)
	}
	c.release()
}

// release lets go of the request, and has the transaction let go of all that is here: it stays for
// a while to absorb what is repeated.
func (c *responseContext) release() {
	c.w, c.r = nil, nil
	if c.tx != nil {
		c.tx.Forget(c)
	}
	if c.late != nil {
		c.late.Stop() // it would hold all of this for seconds
		c.late = nil
	}
}

// releaseAnswered is release for an INVITE after its first 2xx. Further ones go straight to the
// transaction, unless a handler in front wants to see them: its ResponseWriter needs the request.
func (c *responseContext) releaseAnswered() {
	if inside.IsDirect(c.w) {
		c.repeats = true
		c.release()
	}
}

// repeat relays one more 2xx to an INVITE that has been let go of.
func (c *responseContext) repeat(m *wire.Message, out *transport.Outbox) {
	e := edits.Get().(*wire.Edits)
	defer edits.Put(e)
	e.Reset()
	e.PopValue(m, wire.Via)
	e.EnsureContentLength(m)
	var buf []byte
	if out != nil {
		buf = out.Buffer()
	}
	if err := c.tx.Respond(e.Append(buf, m.Raw), m.Status, out); err != nil {
		c.notRelayed(m.Status, err)
	}
}

// write sends a response, with what else out collects unless that is nil.
func (c *responseContext) write(res module.Response, out *transport.Outbox) {
	in := inside.RequestOf(c.r)
	in.Outbox = out
	r := responses.Get().(*module.Response)
	*r = res
	err := c.w.WriteResponse(r)
	*r = module.Response{}
	responses.Put(r)
	in.Outbox = nil
	if err != nil {
		c.notRelayed(res.Status, err)
	}
}

func (c *responseContext) notRelayed(status int, err error) {
	c.p.logger.Debug("a response could not be relayed", zap.Int("status", status),
		zap.String("error", wire.ForLog(err.Error())))
}

// OnCancel implements transaction.ServerHandler.
func (c *responseContext) OnCancel(s *transaction.Server, out *transport.Outbox) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done {
		return
	}
	c.cancelled = true
	c.cancel(s.CancelReason(), out)
	c.next(out)
}

// OnTerminated implements transaction.ServerHandler. When there was no final response, the caller
// is out of reach or has given up.
func (c *responseContext) OnTerminated(*transaction.Server, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.done {
		c.done = true
		c.cancel(nil, nil)
		c.release()
	}
}

// answeredElsewhere tells a phone that stops ringing not to count the call as missed (RFC 3326 §2).
var answeredElsewhere = []byte("Reason: SIP;cause=200;text=\"Call completed elsewhere\"\r\n")

// declined tells a phone that stops ringing that another one has declined the call.
func declined(m *wire.Message) []byte {
	return wire.AppendHeader(nil, "Reason", fmt.Sprintf("SIP;cause=%d;text=\"Declined elsewhere\"", m.Status))
}

// cancel cancels every branch that has no final response, and tries no further ones (RFC 3261 §16.7
// step 10). reason says why in header lines; nil: that the caller gave up.
func (c *responseContext) cancel(reason []byte, out *transport.Outbox) {
	c.stopped = true
	for _, b := range c.branches {
		switch {
		case b.done:
		case b.client != nil:
			b.client.Cancel(reason, out)
			b.limitCancelled()
		default: // it is still looking for its way
			b.end()
		}
	}
}
