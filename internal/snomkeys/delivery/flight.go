package delivery

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/sip/transaction"
	"github.com/caddysip/caddysip/internal/sip/uac"
	"github.com/caddysip/caddysip/wire"
)

const (
	// A phone that failed is asked again after firstRetry, and then after twice as long each time,
	// up to lastRetry.
	firstRetry = 5 * time.Second
	lastRetry  = 5 * time.Minute

	// maxSilence is after how many messages without an answer a phone that never acknowledged any
	// is taken to know none.
	maxSilence = 3
)

// flight is one message on its way. The Delivery's lock guards done, slot and stale; the rest stays
// as it is.
type flight struct {
	exchange uac.Exchange
	d        *Delivery
	phone    *phone
	binding  *location.Binding
	sent     time.Time
	keys     []sentKey
	room     [1]sentKey

	done      bool // it has an outcome
	slot      bool // it counts as being in flight
	stale     bool // the phone may not show what it acknowledges: it has restarted, or was set
	abandoned bool // the phone has moved, and is sent to at its new address
}

type sentKey struct {
	hash uint64
	key  uint16
	off  bool
}

// Done implements uac.Handler.
func (f *flight) Done(final *wire.Message, err error) {
	a := reply{err: err}
	if final != nil {
		a.status, a.retryAfter = final.Status, retryAfter(final)
		f.d.options.Heard(f.binding)
	}
	f.d.finish(f, a)
}

// reply is the outcome of a message.
type reply struct {
	status     int // 0: there was no answer
	err        error
	retryAfter time.Duration // 0: the answer has no Retry-After
}

// maxRetryAfter is the longest Retry-After that is respected.
const maxRetryAfter = time.Hour

// retryAfter reads Retry-After (RFC 3261 §20.33): seconds, and perhaps a comment and parameters.
func retryAfter(m *wire.Message) time.Duration {
	field, _ := m.HeaderNamed("Retry-After")
	value := string(field)
	if end := strings.IndexFunc(value, func(c rune) bool { return c < '0' || c > '9' }); end >= 0 {
		value = value[:end]
	}
	seconds, err := strconv.ParseUint(value, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return maxRetryAfter
	case err != nil:
		return 0
	}
	return time.Duration(min(seconds, uint64(maxRetryAfter/time.Second))) * time.Second
}

// result is what the outcome of a message means.
type result uint8

const (
	acknowledged result = iota
	refused             // this record; it is not sent again
	unsupported         // this phone has no such keys
	silent              // no answer
	failed              // it may work later
)

func resultOf(a reply) result {
	switch {
	case a.err == transaction.ErrTimeout || a.status == 408:
		return silent
	case a.err != nil:
		return failed
	case a.status < 300:
		return acknowledged
	case a.status == 405 || a.status == 415 || a.status == 501:
		return unsupported
	case a.retryAfter > 0 || temporary(a.status):
		return failed
	}
	return refused
}

// temporary reports whether a status means that the phone cannot take the key now: it is busy, in
// another transaction, just starting, or asked too often.
func temporary(status int) bool {
	switch status {
	case 429, 430, 480, 486, 491, 600:
		return true
	}
	return status >= 500 && status < 600
}

var resultNames = [...]string{"acknowledged", "refused", "refused", "timeout", "failed"}

// finish handles the outcome of a message.
func (d *Delivery) finish(f *flight, a reply) {
	r := resultOf(a)
	d.mu.Lock()
	if f.done {
		d.mu.Unlock()
		return
	}
	f.done = true
	d.release(f)
	d.pending--
	p := f.phone
	if f.abandoned {
		d.mu.Unlock()
		d.wakeUp() // there is room for another
		return
	}
	p.flight = nil
	d.apply(p, f, r, a)
	d.account(p.user)
	d.enqueue(p)
	aor := p.user.aor
	d.wakeWaiters(aor)
	if a.err == transaction.ErrClosed {
		d.mu.Unlock()
		return // the server stops
	}
	d.noteAnswer(f, r)
	d.mu.Unlock()
	d.behind.Mark(aor)
	d.options.Count(resultNames[r])
	f.report(r, aor, a)
	d.logNotes()
	d.wakeUp()
}

// abandon stops waiting for a message to a phone that has moved, and repeating it: it would arrive
// late, if at all, and after what is sent to the new address. The caller holds the lock.
func (d *Delivery) abandon(p *phone) {
	if f := p.flight; f != nil {
		f.abandoned, p.flight = true, nil
		f.exchange.Hush()
		d.release(f)
	}
}

// apply updates the phone with the outcome of a message. The caller holds the lock.
func (d *Delivery) apply(p *phone, f *flight, r result, a reply) {
	if r != silent {
		p.silent = 0
	}
	switch r {
	case acknowledged, refused:
		p.known = p.known || r == acknowledged
		p.failures, p.status = 0, 0
		if !f.stale {
			p.answered(f.keys, a.status, d.clock.Unix())
			if r == acknowledged {
				d.updateOthers(p, f.keys)
			}
		}
	case unsupported:
		p.unsupported, p.status = true, uint16(a.status)
	default:
		p.status = uint16(a.status)
		p.failures = min(p.failures+1, 100)
		if r == silent {
			p.silent = min(p.silent+1, maxSilence)
		}
		if p.silent >= maxSilence && !p.known {
			p.unsupported = true
			return
		}
		if !f.stale {
			d.retryAt(p, d.clock.Now().Add(max(backoff(p.failures), a.retryAfter)))
		}
	}
}

// mayShow records that the phone may show the keys from now on, whether it answers or not. It
// reports whether that is news.
func (p *phone) mayShow(keys []sentKey) (news bool) {
	for _, k := range keys {
		if i, found := findKey(p.keys, k.key); !found {
			p.keys = slices.Insert(p.keys, i, keyState{key: k.key})
			news = true
		}
	}
	return news
}

// answered records what the phone has answered.
func (p *phone) answered(keys []sentKey, status int, now uint32) {
	for _, k := range keys {
		i, found := findKey(p.keys, k.key)
		if k.off && status < 300 {
			if found {
				p.keys = slices.Delete(p.keys, i, i+1) // nothing is left to be known of it
			}
			continue
		}
		if !found {
			p.keys = slices.Insert(p.keys, i, keyState{})
		}
		p.keys[i] = keyState{k.hash, now, k.key, uint16(status)}
	}
}

// Jitter returns a random time from 0 to less than d. A simulation that is to be repeated has its
// own.
var Jitter = func(d time.Duration) time.Duration { return rand.N(d) }

// backoff returns how long to wait after so many failures, more or less: phones that failed
// together are not asked together.
func backoff(failures uint8) time.Duration {
	d := min(firstRetry<<min(failures-1, 10), lastRetry)
	return d - d/5 + Jitter(2*d/5)
}

// report publishes the outcome. The caller does not hold the lock.
func (f *flight) report(r result, aor string, a reply) {
	name := "key_failed"
	if r == acknowledged {
		name = "key_acknowledged"
	}
	contact := string(wire.WithoutPassword([]byte(f.binding.Contact())))
	for _, k := range f.keys {
		data := map[string]any{"aor": aor, "contact": contact, "key": int(k.key)}
		if a.status != 0 {
			data["status"] = a.status
		}
		if r != acknowledged {
			data["error"] = problem(a.status, a.err == transaction.ErrTimeout)
		}
		f.d.options.Emit(name, data)
	}
}

// setCredentials makes everything be sent again that phones refused for want of credentials. The
// caller holds the lock.
func (d *Delivery) setCredentials() {
	for aor, u := range d.users {
		for _, p := range u.phones {
			if p.flight != nil {
				p.flight.stale = true // it may still be refused for want of them
			}
			for i, k := range p.keys {
				if k.status == 401 || k.status == 407 {
					p.keys[i] = keyState{key: k.key}
					d.behind.Mark(aor)
				}
			}
		}
	}
}
