package proxy

import (
	"math/rand/v2"
	"strconv"
	"sync"

	"github.com/caddysip/caddysip/internal/engine"
	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/sip/routetoken"
	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

var edits = sync.Pool{New: func() any { return &wire.Edits{Text: make([]byte, 0, 1<<10)} }}

// forward appends the request as it goes out to a branch by a flow (RFC 3261 §16.6), with that
// branch parameter in our Via.
func (b *branch) forward(dst []byte, f transport.Flow, branch []byte) []byte {
	c := b.c
	m, in := c.r.Message(), inside.RequestOf(c.r).Flow
	e := edits.Get().(*wire.Edits)
	defer edits.Put(e)
	e.Reset()
	self := c.p.in.SentBy(f)

	e.PushHeader(m, wire.Via)
	e.Text = append(append(e.Text, "Via: SIP/2.0/"...), f.Network.Token()...)
	e.Text = self.Append(append(e.Text, ' '))
	e.Text = append(e.Text, ";branch="...)
	e.Text = append(append(e.Text, branch...), ";rport\r\n"...)
	e.StampVia(m, in.Remote)
	e.DecrementMaxForwards(m)

	if c.record {
		var room [routetoken.Room]byte
		token := b.token(in, f)
		user := c.p.signer.Append(room[:0], &token, m.Header(wire.CallID), m.FromTag())
		e.PushHeader(m, wire.RecordRoute)
		e.Text = appendRecordRoute(e.Text, user, f.Network, self)
		// When it came by another socket than it goes out by, each side gets the one that it can
		// reach (RFC 5658 §4).
		if came := c.p.in.SentBy(in); came != self || in.Network != f.Network {
			e.Text = appendRecordRoute(e.Text, user, in.Network, came)
		}
	}
	if c.share > 0 {
		e.DeleteHeader(m, maxBreadth)
		e.AddHeader(m, maxBreadth, strconv.Itoa(c.share))
	}
	b.screenRequest(e, m)
	c.rewriteRoute(e, m, b.target)
	e.EnsureContentLength(m)
	return e.Append(dst, m.Raw)
}

// uniqueOf returns the number that makes a branch parameter this transaction's own. What is
// forwarded without a transaction has the same when it is repeated (RFC 3261 §16.11).
func uniqueOf(m *wire.Message) uint64 {
	if m.Method == wire.ACK {
		return engine.StatelessBranch(m)
	}
	return rand.Uint64()
}

func appendRecordRoute(dst, user []byte, n transport.Network, self wire.HostPort) []byte {
	dst = append(append(append(dst, "Record-Route: <sip:"...), user...), '@')
	dst = self.Append(dst)
	if n != transport.UDP {
		dst = append(append(dst, ";transport="...), n.String()...)
	}
	return append(dst, ";lr>\r\n"...)
}

// rewriteRoute sets Request-URI and Route: our own values go, those of the target come in front. A
// strict router wants to find itself in the Request-URI, and the Request-URI at the end of Route;
// after one, it is put back (RFC 3261 §16.4, §16.6 steps 2, 4 and 6).
func (rt *routing) rewriteRoute(e *wire.Edits, m *wire.Message, t *target) {
	uri := t.uri
	if rt.pop > 0 || rt.unstrict || rt.strict || t.route != nil {
		next, last := rt.replaceRoute(e, m, t.route)
		switch {
		case rt.strict:
			uri = next
		case rt.unstrict && uri == nil:
			uri = last
		}
	}
	if uri != nil {
		e.SetRequestURI(m, uri)
	}
}

// replaceRoute writes the Route that is left. It returns the URI of a strict router that follows,
// and the Request-URI.
func (rt *routing) replaceRoute(e *wire.Edits, m *wire.Message, added []byte) (next, uri []byte) {
	uri = m.RequestURI()
	n := 0
	for v := m.Values(wire.Route); v.Next(); {
		n++
	}
	e.DeleteHeader(m, "Route")
	e.PushHeader(m, wire.Route)
	if added != nil {
		e.Text = appendRoute(e.Text, "", added, "")
	}
	i := 0
	for v := m.Values(wire.Route); v.Next(); i++ {
		switch {
		case i < rt.pop:
		case rt.unstrict && i == n-1:
			a, _ := wire.ParseNameAddr(v.Value())
			uri = a.URI
		case rt.strict && i == rt.pop:
			a, _ := wire.ParseNameAddr(v.Value())
			next = a.URI
		default:
			e.Text = appendRoute(e.Text, "", v.Value(), "")
		}
	}
	if rt.strict {
		e.Text = appendRoute(e.Text, "<", uri, ">")
	}
	return next, uri
}

func appendRoute(dst []byte, before string, value []byte, after string) []byte {
	dst = append(append(append(dst, "Route: "...), before...), value...)
	return append(append(dst, after...), "\r\n"...)
}
