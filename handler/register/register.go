package register

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/ipset"
	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/wire"
)

func init() {
	caddy.RegisterModule(&Register{})
}

// The defaults.
const (
	DefaultMinExpires  = 60 * time.Second
	DefaultExpires     = 600 * time.Second
	DefaultMaxExpires  = 7200 * time.Second
	DefaultMaxContacts = 10
)

// maxExpires keeps seconds in 32 bits.
const maxExpires = caddy.Duration(1<<31-1) * caddy.Duration(time.Second)

// Register is the registrar (RFC 3261 §10.3): it answers REGISTER requests for the domains that are
// served, and then lets the next handler have them, so that later ones can act on a registration.
// Other requests, and those for other domains, it leaves alone.
type Register struct {
	// The shortest time a phone may register for; a shorter one is refused with 423, which tells
	// the phone this one. Default: 60 seconds.
	MinExpires caddy.Duration `json:"min_expires,omitempty"`

	// Whether a shorter time is made the shortest one instead, which the answer says: for clients
	// that give up at a 423. Default: false.
	Lift bool `json:"lift,omitempty"`

	// How long a registration lasts when the phone doesn't say. Default: 600 seconds.
	DefaultExpires caddy.Duration `json:"default_expires,omitempty"`

	// The longest time a phone may register for; a longer one is cut to this. Default: 7200
	// seconds.
	MaxExpires caddy.Duration `json:"max_expires,omitempty"`

	// How many contacts an address-of-record may have at a time. One more takes the place of one
	// that its device has left, else of one that cannot be reached any more, else of the one that
	// has not been refreshed for longest. Default: 10.
	MaxContacts int `json:"max_contacts,omitempty"`

	// Whether a REGISTER for one more is refused with 503 instead. Default: false.
	Refuse bool `json:"refuse,omitempty"`

	// Addresses and ranges in CIDR notation of the edge proxies whose Path is recorded and followed
	// (RFC 3327): the REGISTER must come from one of them, and its first Path value must lead to
	// one of them. Placeholders are replaced when the configuration is loaded. Default: the
	// addresses that the server trusts.
	PathFrom []string `json:"path_from,omitempty"`

	// Whether no Path is followed, whoever the server trusts. To a request that requires it the
	// answer is 420.
	PathOff bool `json:"path_off,omitempty"`

	app   *module.App
	in    *inside.App
	edges ipset.Set // whose Path is followed

	limits location.Limits

	min, normal, max uint32 // seconds
}

// CaddyModule returns the Caddy module information.
func (*Register) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.handlers.register", New: func() caddy.Module { return new(Register) }}
}

// Provision sets the defaults.
func (h *Register) Provision(ctx caddy.Context) error {
	h.min = seconds(h.MinExpires, DefaultMinExpires)
	h.max = seconds(h.MaxExpires, max(DefaultMaxExpires, time.Duration(h.DefaultExpires), time.Duration(h.MinExpires)))
	h.normal = seconds(h.DefaultExpires, min(max(DefaultExpires, time.Duration(h.MinExpires)), time.Duration(h.max)*time.Second))
	if h.MaxContacts == 0 {
		h.MaxContacts = DefaultMaxContacts
	}
	server, err := module.ServerFrom(ctx)
	if err != nil {
		return err
	}
	h.app, h.limits = server.App(), limitsOf(server)
	h.in = inside.AppOf(h.app)
	return h.provisionPath(server)
}

// GuardedMethod implements module.Guarded: an unauthenticated sender can register as any user.
func (*Register) GuardedMethod() string { return "REGISTER" }

func seconds(d caddy.Duration, otherwise time.Duration) uint32 {
	if d == 0 {
		d = caddy.Duration(otherwise)
	}
	return uint32(time.Duration(d) / time.Second)
}

// Validate checks that the times make sense together.
func (h *Register) Validate() error {
	if h.MinExpires < 0 || h.DefaultExpires < 0 || h.MaxExpires < 0 || h.MaxContacts < 0 {
		return errors.New("expires and max_contacts must not be negative")
	}
	if h.min < 1 || max(h.MinExpires, h.DefaultExpires, h.MaxExpires) > maxExpires {
		return fmt.Errorf("expires: times must be from 1 second to %v", time.Duration(maxExpires))
	}
	if h.min > h.normal || h.normal > h.max {
		return fmt.Errorf("expires: the shortest (%ds), the default (%ds) and the longest (%ds) must not be in another order", h.min, h.normal, h.max)
	}
	return nil
}

// ServeSIP implements module.Handler.
func (h *Register) ServeSIP(w module.ResponseWriter, r *module.Request, next module.Next) error {
	// Step 1: a REGISTER for a domain that is not ours is for somebody else.
	if r.Message().Method != wire.REGISTER || w.Status() != 0 || !h.app.IsLocal(r.URI().Host) {
		return next(w, r)
	}
	// A registration that was refused is nothing to act on.
	if err := h.register(w, r); err != nil || w.Status() >= 300 {
		return err
	}
	return next(w, r)
}

// register does steps 2 to 8 of RFC 3261 §10.3. Steps 3 and 4, who the user is and whether he may,
// are for the handlers before this one.
func (h *Register) register(w module.ResponseWriter, r *module.Request) error {
	m := r.Message()
	if m.Has(wire.Require) {
		if tags := h.unsupported(m, inside.RequestOf(r).Flow); tags != nil {
			return refuse(w, 420, "", "Unsupported", string(tags))
		}
	}
	s := scratches.Get().(*scratch)
	defer s.release()
	_, to := r.To()
	if to.Scheme == wire.OtherScheme {
		return module.HandlerError{Status: 400, Reason: "To Is Not a SIP URI"} // RFC 3261 §10.2
	}
	aor, ok := h.app.AppendAOR(s.aor[:0], &to)
	if !ok {
		return module.Error(404, nil) // step 5
	}
	if len(aor) > maxText {
		return tooLong("Address-of-Record")
	}
	err := h.read(&s.update, r, s.contacts[:0])
	s.contacts = s.update.Contacts
	s.update.AOR = aor
	s.update.Owner = owner(r, aor)
	var flow bool
	if err == nil {
		flow, err = h.setFlows(&s.update, m)
	}
	if err == nil {
		if !h.limit(s.update.Contacts) {
			return refuse(w, 423, "", "Min-Expires", strconv.Itoa(int(h.min)))
		}
		err = h.in.Location().Update(&s.update, &s.result)
	}
	if reason := full(err); reason != nil {
		reason.Inc()
		// Not 403: phones take that for a wrong password and give up. They shall not all be back at
		// the same time.
		return refuse(w, 503, "Too Many Registrations", "Retry-After", strconv.Itoa(60+rand.IntN(60)))
	}
	switch {
	case errors.Is(err, location.ErrTooMany):
		tooManyContacts.Inc()
		return refuse(w, 503, "Too Many Contacts", "Retry-After", "60")
	case errors.Is(err, location.ErrOutOfOrder):
		// What overtook it has been served; the phone may go on with the next number at once.
		return refuse(w, 500, "Out of Order", "Retry-After", "1")
	case errors.Is(err, location.ErrTooLarge):
		return module.Error(413, err)
	case err != nil:
		return err
	}
	s.response = module.Response{
		Status: 200,
		Header: h.header(s.response.Header[:0], &s.update, s.result.Bindings, h.maxContactBytes(r)),
	}
	if flow && supports(m, outboundTag) {
		s.response.AddHeader("Require", outboundTag) // RFC 5626 §6
	}
	return w.WriteResponse(&s.response)
}

// refuse answers with the header field that the status wants.
func refuse(w module.ResponseWriter, status int, reason, name, value string) error {
	res := &module.Response{Status: status, Reason: reason}
	res.AddHeader(name, value)
	return w.WriteResponse(res)
}

// limit brings the times into what is allowed; it returns false when one is too short (step 7). A
// time of an hour or more is none that may be refused for that.
func (h *Register) limit(contacts []location.ContactUpdate) bool {
	for i := range contacts {
		c := &contacts[i]
		if c.Expires > 0 && c.Expires < min(h.min, 3600) {
			if !h.Lift {
				return false
			}
			c.Expires = h.min
		}
		c.Expires = min(c.Expires, h.max)
	}
	return true
}

// unvalidatedContacts is how many bytes of contacts a 200 has over UDP to a source that may be
// forged.
const unvalidatedContacts = 1 << 10

// maxContactBytes returns how many bytes of contacts the response may list. Step 8 wants all of
// them, but then a short query with a forged source, for a user with many long contacts, would
// flood a third party. A source that may be forged gets at least as much as it sent, so a phone
// sees the contact that it has registered.
func (h *Register) maxContactBytes(r *module.Request) int {
	if h.in.Engine.Validated(inside.RequestOf(r).Flow) {
		return math.MaxInt
	}
	return max(unvalidatedContacts, len(r.Message().Raw))
}

// header appends the header fields of the answer: all bindings for which there is room, with how
// long they still last (step 8), first those that the request has set; and the Path that was
// recorded (RFC 3327 §5.3).
func (h *Register) header(
	dst []byte, u *location.Update, bindings []*location.Binding, room int,
) []byte {
	now := h.in.Location().Second()
	for _, own := range [...]bool{true, false} {
		for _, b := range bindings {
			if set := b.CSeq() == u.CSeq && b.CallID() == string(u.CallID); set != own {
				continue
			}
			if len(dst)+len(b.Contact()) > room {
				continue
			}
			start := len(dst)
			if dst = appendContact(dst, b, now.Until(b)); len(dst) > room {
				dst = dst[:start]
			}
		}
	}
	for path := u.Path; len(path) > 0; {
		var value []byte
		value, path = wire.CutValue(path)
		dst = wire.AppendHeader(dst, "Path", value)
	}
	return appendDate(dst)
}

// appendContact appends the line of a binding that lasts for so many seconds.
func appendContact(dst []byte, b *location.Binding, seconds uint32) []byte {
	dst = append(dst, "Contact: <"...)
	dst = append(dst, b.Contact()...)
	dst = append(dst, ">;expires="...)
	dst = strconv.AppendUint(dst, uint64(seconds), 10)
	if q := b.Q(); q != 1000 {
		dst = append(dst, ";q=0."...)
		dst = append(dst, byte('0'+q/100), byte('0'+q/10%10), byte('0'+q%10))
	}
	if instance := b.Instance(); instance != "" {
		dst = append(dst, ";+sip.instance="...)
		dst = append(dst, instance...)
	}
	if id := b.RegID(); id > 0 {
		dst = append(dst, ";reg-id="...)
		dst = strconv.AppendUint(dst, uint64(id), 10)
	}
	return append(dst, '\r', '\n')
}

// Interface guards
var (
	_ caddy.Provisioner = (*Register)(nil)
	_ caddy.Validator   = (*Register)(nil)
	_ module.Handler    = (*Register)(nil)
	_ module.Guarded    = (*Register)(nil)
)
