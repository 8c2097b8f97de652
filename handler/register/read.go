package register

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/wire"
)

// scratch is what serving one REGISTER needs.
type scratch struct {
	update   location.Update
	result   location.Result
	contacts []location.ContactUpdate
	response module.Response
	aor      [128]byte // most have room
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

func (s *scratch) release() {
	clear(s.contacts)
	s.update = location.Update{}
	clear(s.result.Bindings)
	clear(s.result.Changes)
	scratches.Put(s)
}

// How many bytes what is kept of a request may have: address-of-record, Contact URI, instance, Path
// and Call-ID each, and the User-Agent, which is cut.
const (
	maxText  = location.MaxText
	maxAgent = 256
)

// maxChanges is how many Contacts a request may have, whatever MaxContacts is.
const maxChanges = 64

func tooLong(what string) error {
	return module.HandlerError{Status: 400, Reason: what + " Too Long", Err: fmt.Errorf("%d bytes are possible", maxText)}
}

// read reads what the request asks for (RFC 3261 §10.3 steps 6 and 7). Its Contacts are appended to
// contacts.
func (h *Register) read(u *location.Update, r *module.Request, contacts []location.ContactUpdate) error {
	m := r.Message()
	if u.CallID = m.Header(wire.CallID); len(u.CallID) > maxText {
		return tooLong("Call-ID")
	}
	u.CSeq = m.CSeq
	agent := m.Header(wire.UserAgent)
	u.UserAgent = agent[:min(len(agent), maxAgent)]
	u.Flow = inside.RequestOf(r).Flow
	u.Relayed = m.IsForwarded() || m.Has(wire.Path) || h.edges.Contains(u.Flow.Remote.Addr())
	u.Max, u.Refuse, u.Limits = h.MaxContacts, h.Refuse, h.limits
	u.Contacts = contacts
	var err error
	if u.Path, err = h.path(m, u.Flow); err != nil {
		return err
	}
	expires, given := m.Expires()
	stars := 0
	for v := m.Values(wire.Contact); v.Next(); {
		if string(v.Value()) == "*" {
			stars++
			continue
		}
		c, err := h.contact(v.Value(), expires, given)
		if _, ok := err.(module.HandlerError); ok {
			return err
		}
		if err != nil {
			return module.HandlerError{Status: 400, Reason: "Malformed Contact", Err: err}
		}
		// A phone can replace all that it has, and that's the most work it can make.
		if u.Contacts = append(u.Contacts, c); len(u.Contacts) > min(2*h.MaxContacts, maxChanges) {
			return location.ErrTooMany
		}
	}
	// "*" stands alone and only removes (step 6).
	if u.RemoveAll = stars > 0; u.RemoveAll && (stars > 1 || len(u.Contacts) > 0 || !given || expires != 0) {
		return module.HandlerError{Status: 400, Reason: "Invalid Wildcard Contact"}
	}
	return nil
}

// setFlows applies RFC 5626 §6 to the Contacts, and reports whether one of them is for a flow.
func (h *Register) setFlows(u *location.Update, m *wire.Message) (used bool, err error) {
	counts := h.flows(m, u.Flow)
	set := 0
	for i := range u.Contacts {
		c := &u.Contacts[i]
		if c.Expires > 0 {
			set++
		}
		if c.RegID == 0 || c.Instance == nil {
			continue
		}
		if !counts && m.IsForwarded() && supports(m, outboundTag) {
			return false, module.Error(439, nil)
		}
		used = used || counts
	}
	if used && set > 1 {
		return false, module.HandlerError{Status: 400, Reason: "Contact With reg-id Must Be Alone"}
	}
	return used, nil
}

// contact reads one Contact. Its expires parameter goes before the header field, and that before
// the default (RFC 3261 §10.2.1.1).
func (h *Register) contact(value []byte, expires uint32, given bool) (c location.ContactUpdate, err error) {
	a, err := wire.ParseNameAddr(value)
	if err != nil {
		return c, err
	}
	if len(a.URI) > maxText {
		return c, tooLong("Contact")
	}
	if c.URI, err = wire.ParseURI(a.URI); err != nil {
		return c, err
	}
	c.Q, c.Expires = 1000, h.normal
	if given {
		c.Expires = expires
	}
	for p := wire.ParamsOf(a.Params); p.Next(); {
		switch {
		case wire.EqualFold(p.Name, "expires"):
			// RFC 3261 §10.2.1.1: what is no number counts as 3600.
			if n, ok := wire.ParseExpires(p.Value); ok {
				c.Expires = n
			} else {
				c.Expires = 3600
			}
		case wire.EqualFold(p.Name, "q"):
			c.Q = parseQ(p.Value)
		case wire.EqualFold(p.Name, "+sip.instance"):
			if len(p.Value) > maxText {
				return c, tooLong("Instance ID")
			}
			c.Instance = instance(p.Value)
		case wire.EqualFold(p.Name, "reg-id"):
			if n, ok := wire.ParseUint(p.Value, 1<<31-1); ok {
				c.RegID = uint32(n)
			}
		}
	}
	return c, nil
}

// parseQ reads a qvalue of "0", "1", "0.375" in thousandths; what is none counts as 1.
func parseQ(b []byte) uint16 {
	if len(b) == 0 || b[0] != '0' {
		return 1000
	}
	q, scale := uint16(0), uint16(100)
	for _, c := range b[min(2, len(b)):] {
		if c < '0' || c > '9' {
			return 1000
		}
		q += uint16(c-'0') * scale
		scale /= 10
	}
	return q
}

// unsupported returns the option tags in Require that the registrar doesn't know, or not for this
// request (step 2).
func (h *Register) unsupported(m *wire.Message, f transport.Flow) (tags []byte) {
	path, outbound := h.edges.Contains(f.Remote.Addr()), h.flows(m, f)
	for v := m.Values(wire.Require); v.Next(); {
		if path && wire.EqualFold(v.Value(), "path") || outbound && wire.EqualFold(v.Value(), outboundTag) {
			continue
		}
		if len(tags) > 0 {
			tags = append(tags, ", "...)
		}
		tags = append(tags, v.Value()...)
	}
	return tags
}

// date is the Date line of the current second.
var date atomic.Pointer[dateLine]

type dateLine struct {
	second int64
	line   string
}

func appendDate(dst []byte) []byte {
	now := time.Now()
	d := date.Load()
	if d == nil || d.second != now.Unix() {
		// RFC 3261 §20.17: the time zone is GMT, literally.
		d = &dateLine{now.Unix(), now.UTC().Format("Date: Mon, 02 Jan 2006 15:04:05 GMT\r\n")}
		date.Store(d)
	}
	return append(dst, d.line...)
}
