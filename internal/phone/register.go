package phone

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

// maxExpires bounds what a server may make of the interval: RFC 3261 §20.19
// allows 136 years.
const maxExpires = 7 * 24 * time.Hour

// registration is the phone's at its registrar. Phone.registering guards the
// dialog and expires, Phone.mu the rest.
type registration struct {
	p       *Phone
	dialog  dialog
	expires time.Duration // to ask for

	wanted   bool // Register succeeded once and Unregister was not called
	failures int  // refreshes without success in a row
	timer    *time.Timer
}

func (r *registration) init(p *Phone) {
	r.p = p
	r.expires = p.cfg.Expires
	r.dialog = p.newDialog(p.domain)
	// RFC 3261 §10.2: the registrar's domain is the Request-URI, the
	// address-of-record is in To and From.
	r.dialog.remote.Address = p.aor
}

// Register registers the phone, and keeps it registered until Unregister or
// Close. A *StatusError says that the registrar refused.
func (p *Phone) Register(ctx context.Context) error {
	p.registering.Lock()
	defer p.registering.Unlock()
	granted, err := p.registration.send(ctx, false)
	p.registration.done(granted, err)
	return err
}

// Unregister removes the phone's binding.
func (p *Phone) Unregister(ctx context.Context) error {
	p.registering.Lock()
	defer p.registering.Unlock()
	p.registration.stop()
	_, err := p.registration.send(ctx, true)
	p.mu.Lock()
	p.state.Registered = false
	p.notify()
	p.mu.Unlock()
	if f := p.cfg.OnRegistration; f != nil {
		f(false, err)
	}
	return err
}

// send sends a REGISTER and returns for how long the binding was granted.
func (r *registration) send(ctx context.Context, remove bool) (time.Duration, error) {
	for tooBrief := false; ; {
		expires := r.expires
		if remove {
			expires = 0
		}
		res, err := r.p.do(ctx, func() *sip.Request {
			req := r.p.request(&r.dialog, sip.REGISTER)
			req.AppendHeader(r.p.contact())
			req.AppendHeader(sip.NewHeader("Expires", seconds(expires)))
			req.AppendHeader(sip.NewHeader("Allow", allow))
			return req
		})
		switch {
		case err != nil:
			return 0, err
		case res.StatusCode == 423 && !remove && !tooBrief:
			// RFC 3261 §10.2.8: ask again for what the registrar wants.
			tooBrief = true
			if least := headerSeconds(res, "Min-Expires"); least > r.expires {
				r.expires = min(least, maxExpires)
				continue
			}
		}
		if err := statusError(sip.REGISTER, res); err != nil {
			return 0, err
		}
		return r.granted(res, expires), nil
	}
}

// granted returns how long the binding of a 200 lasts: what its Contact says,
// or the Expires header field, or else what was asked for (RFC 3261 §10.2.4).
func (r *registration) granted(res *sip.Response, asked time.Duration) time.Duration {
	ours := r.p.contact().Address
	for _, h := range res.GetHeaders("Contact") {
		c, ok := h.(*sip.ContactHeader)
		if !ok || c.Address.User != ours.User || c.Address.Host != ours.Host ||
			c.Address.Port != ours.Port {
			continue
		}
		if n, err := strconv.ParseUint(c.Params.GetOr("expires", ""), 10, 32); err == nil {
			return min(time.Duration(n)*time.Second, maxExpires)
		}
	}
	if d := headerSeconds(res, "Expires"); d > 0 {
		return min(d, maxExpires)
	}
	return asked
}

// done notes the outcome of a REGISTER and plans the next.
func (r *registration) done(granted time.Duration, err error) {
	p := r.p
	p.mu.Lock()
	p.state.Registered = err == nil
	p.notify()
	if err == nil {
		r.wanted, r.failures = true, 0
		r.plan(refreshAfter(granted))
	} else if r.wanted && worthRetrying(err) {
		r.failures++
		r.plan(retryAfter(r.failures))
	}
	p.mu.Unlock()
	if f := p.cfg.OnRegistration; f != nil {
		f(err == nil, err)
	}
}

// refreshAfter returns when to refresh a binding: after half of its lifetime, so that there is time
// for another try.
func refreshAfter(granted time.Duration) time.Duration {
	return max(granted/2, time.Second)
}

// retryAfter returns the delay of the next try after n failures in a row.
func retryAfter(n int) time.Duration {
	return min(time.Second<<min(n-1, 5), 30*time.Second)
}

// worthRetrying reports whether a REGISTER may succeed later: not after a permanent refusal, such
// as that of a wrong password.
func worthRetrying(err error) bool {
	var status *StatusError
	return !errors.As(err, &status) || status.Status == 408 ||
		status.Status >= 500 && status.Status < 600
}

// plan schedules the next REGISTER. Phone.mu is held.
func (r *registration) plan(after time.Duration) {
	if r.timer != nil {
		r.timer.Stop()
	}
	if r.p.closed {
		return
	}
	r.timer = time.AfterFunc(after, func() { r.p.goroutine(r.refresh) })
}

func (r *registration) refresh() {
	p := r.p
	p.registering.Lock()
	defer p.registering.Unlock()
	p.mu.Lock()
	wanted := r.wanted && !p.closed
	p.mu.Unlock()
	if wanted {
		granted, err := r.send(p.ctx, false)
		r.done(granted, err)
	}
}

// connectionLost registers again, as the server can't reach the phone any more.
func (r *registration) connectionLost() {
	p := r.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.wanted && !p.closed {
		p.state.Registered = false
		p.notify()
		r.plan(0)
	}
}

// stop ends the refreshing.
func (r *registration) stop() {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	r.wanted = false
	if r.timer != nil {
		r.timer.Stop()
	}
}

// seconds writes a duration as Expires has it.
func seconds(d time.Duration) string {
	return fmt.Sprint(int64(d / time.Second))
}

func headerSeconds(msg sip.Message, name string) time.Duration {
	for _, h := range msg.GetHeaders(name) {
		if n, err := strconv.ParseUint(strings.TrimSpace(h.Value()), 10, 32); err == nil {
			return time.Duration(n) * time.Second
		}
	}
	return 0
}
