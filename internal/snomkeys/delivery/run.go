package delivery

import (
	"time"

	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/snomkeys/buttons"
)

const (
	// maxSlots is how many messages may be on their way to phones that answer.
	maxSlots = 256
	// slotTime is the time without an answer after which a message no longer counts as one of
	// those: dead phones must not delay the others. It is shorter for phones that have never
	// answered, or did not the last time: one that is there answers within milliseconds.
	slotTime      = 4 * time.Second
	shortSlotTime = 500 * time.Millisecond
	// maxPending is how many messages may be without an outcome, dead phones included.
	maxPending = 16384

	cleanInterval = time.Hour
)

// wakeUp makes the scheduler check what there is to do.
func (d *Delivery) wakeUp() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// run is the scheduler.
func (d *Delivery) run() {
	defer close(d.stopped)
	timer := time.NewTimer(cleanInterval)
	defer timer.Stop()
	for {
		select {
		case <-d.stop:
			return
		case <-d.wake:
		case <-timer.C:
		}
		timer.Reset(d.step())
	}
}

// step does what there is to do, and returns how long there is nothing.
func (d *Delivery) step() time.Duration {
	d.mu.Lock()
	ready := d.ready
	d.mu.Unlock()
	if !ready {
		return cleanInterval
	}
	more := d.readInbox()
	for {
		d.mu.Lock()
		now := d.clock.Now()
		f := d.next(now)
		if f == nil {
			wait := d.wait(now)
			d.mu.Unlock()
			d.logNotes()
			if more {
				return 0
			}
			return wait
		}
		d.mu.Unlock()
		if err := d.options.Client.Send(&f.exchange, &d.request, f, nil); err != nil {
			d.finish(f, reply{err: err})
		}
	}
}

// wait returns how long there is nothing to do. The caller holds the lock.
func (d *Delivery) wait(now time.Time) time.Duration {
	wait := cleanInterval
	if len(d.retries) > 0 {
		wait = min(wait, time.Unix(0, d.retries[0].retry).Sub(now))
	}
	for _, l := range d.slotLists() {
		if len(*l.flights) > 0 {
			wait = min(wait, (*l.flights)[0].sent.Add(l.time).Sub(now))
		}
	}
	if d.waiting() {
		wait = min(wait, time.Duration((1-d.tokens)/float64(d.settings.Rate)*float64(time.Second)))
	}
	return max(wait, time.Millisecond)
}

// next returns what to send next, nil when there is nothing or it is not time yet. The caller holds
// the lock.
func (d *Delivery) next(now time.Time) *flight {
	for len(d.retries) > 0 && d.retries[0].retry <= now.UnixNano() {
		p := d.retries[0]
		d.retries.remove(p)
		d.enqueue(p)
	}
	for _, l := range d.slotLists() {
		for f := l.flights; len(*f) > 0 && ((*f)[0].done || now.Sub((*f)[0].sent) >= l.time); {
			d.release((*f)[0])
			(*f)[0] = nil
			*f = (*f)[1:]
		}
	}
	if now.Sub(d.cleaned) >= cleanInterval {
		d.cleaned = now
		for _, u := range d.users {
			d.clean(u, now)
		}
	}
	// A twentieth of a second's messages may be sent at once: enough for a person not to wait, and
	// no flood.
	burst := float64(max(d.settings.Rate/20, 1))
	d.tokens = min(burst, d.tokens+now.Sub(d.refilled).Seconds()*float64(d.settings.Rate))
	d.refilled = now
	for d.tokens >= 1 {
		p := d.pop()
		if p == nil {
			return nil
		}
		if f := d.prepare(p, now); f != nil {
			d.tokens--
			return f
		}
	}
	return nil
}

// slotList is a list of messages that have a slot, in the order in which they were sent.
type slotList struct {
	flights *[]*flight
	time    time.Duration // how long each may have it
}

func (d *Delivery) slotLists() [2]slotList {
	return [...]slotList{{&d.flights, slotTime}, {&d.unsure, shortSlotTime}}
}

// release says that a message does not count as being on its way any more. The caller holds the
// lock.
func (d *Delivery) release(f *flight) {
	if f.slot {
		f.slot = false
		d.slots--
	}
}

// prepare has the request bring the phone nearer to what it should show. It returns nil when the
// phone needs nothing or cannot be reached. The caller is the scheduler and holds the lock.
func (d *Delivery) prepare(p *phone, now time.Time) *flight {
	var room [8]*location.Binding
	bindings := d.options.Location.Lookup([]byte(p.user.aor), room[:0])
	b := d.bindingOf(bindings, p.id)
	if b == nil {
		d.inbox.put(d, p.user.aor, registered) // it went while a message was on its way
		return nil
	}
	d.observe(p, b)
	if p.displaced != 0 && !d.returned(p, b, now) {
		return nil
	}
	stale := d.stale(p, b.UserAgent())
	if len(stale) == 0 {
		p.urgent = false
		d.noteSettled(p, b.Contact())
		d.settle(p)
		return nil
	}
	b = usableBinding(bindings, b)
	flow, sentBy, ok := d.options.Flow(b)
	if !ok {
		p.unreachable = true
		d.note(p, badUnreachable, b.Contact())
		d.wakeWaiters(p.user.aor)
		return nil
	}
	r := &d.request
	// A phone knows itself by the parameters of its Contact.
	r.Flow, r.SentBy, r.URI = flow, sentBy, append(r.URI[:0], b.Contact()...)
	r.Path, r.Credentials = d.options.Path(b), d.settings.Credentials
	r.Method, r.ContentType, r.Body = "MESSAGE", buttons.ContentType, nil
	r.SetAOR(p.user.aor)
	f := &flight{d: d, phone: p, binding: b, sent: now, slot: true}
	if r.Body = f.take(stale, d); len(r.Body) == 0 {
		return nil
	}
	p.flight = f
	if p.mayShow(f.keys) {
		d.behind.Mark(p.user.aor)
	}
	if p.known && p.silent == 0 {
		d.flights = append(d.flights, f)
	} else {
		d.unsure = append(d.unsure, f)
	}
	d.slots++
	d.pending++
	return f
}

// settle forgets a phone that shows nothing and is to show nothing. It is kept if it would
// otherwise be taken, the next time, for one that may show the user's other keys, or for a user who
// logs on.
func (d *Delivery) settle(p *phone) {
	u := p.user
	if len(p.keys) > 0 || p.unsupported || len(u.leftovers) > 0 || len(u.phones) > 1 ||
		len(d.others(p)) > 0 {
		return
	}
	for i, other := range u.phones {
		if other == p {
			u.phones = append(u.phones[:i], u.phones[i+1:]...)
			break
		}
	}
	d.drop(p)
	d.clean(u, d.clock.Now())
}
