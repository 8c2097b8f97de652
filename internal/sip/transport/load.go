package transport

import "time"

const (
	// lateAfter is the age from which on a datagram counts as late when it is read.
	lateAfter = 50 * time.Millisecond
	// sustained is how long the reader must have been behind before anything is refused: a burst is
	// not an overload.
	sustained = 100 * time.Millisecond
	// loadStep is how often the part that is admitted changes.
	loadStep = 20 * time.Millisecond
	// minAdmitted is the fraction that is admitted however far the reader is behind.
	minAdmitted = 1.0 / 16
)

// load decides how many new requests a reader accepts, so that it keeps up with the rest. When
// datagrams have been waiting too long, or found the receive buffer full, for some time, the part
// that is admitted shrinks step by step; otherwise it grows again, to all of them within half a
// second. It belongs to one reader.
type load struct {
	behind  time.Time // since when the reader is behind; zero: it is not
	step    time.Time // when the part was last changed
	refused float64   // the part that is not admitted, 0 to 1
	dropped float64   // the part of the refused that is not even answered
	credit  [2]float64
}

// Admission is what to do with a request that begins something new.
type Admission uint8

// Admit: handle it. Refuse: refuse it. Drop: don't even answer, because refusing alone doesn't let
// the reader keep up.
const (
	Admit Admission = iota
	Refuse
	Drop
)

// watched reports whether the next batch must be observed even if it is small.
func (o *load) watched() bool { return o.refused > 0 || !o.behind.IsZero() }

// observe takes into account how long the latest datagram of a batch had been waiting, and whether
// others had found no room.
func (o *load) observe(now time.Time, waited time.Duration, lost bool) {
	late := waited > lateAfter || lost
	switch {
	case !late:
		o.behind = time.Time{}
	case o.behind.IsZero():
		o.behind, o.step = now, now
	}
	steps := float64(now.Sub(o.step) / loadStep)
	if steps < 1 {
		return
	}
	switch {
	case !late:
		o.refused = max(0, o.refused-steps/20)
		o.dropped = max(0, o.dropped-steps/10)
	case now.Sub(o.behind) < sustained:
	case o.refused < 1-minAdmitted:
		o.refused = min(1-(1-o.refused)*0.85, 1-minAdmitted)
	default:
		o.dropped = min(1, o.dropped+0.1)
	}
	o.step = now
}

// admit returns what to do with the next request that begins something.
func (o *load) admit() Admission {
	switch {
	case o.refused == 0 || !o.draw(0, o.refused):
		return Admit
	case o.draw(1, o.dropped):
		return Drop
	}
	return Refuse
}

// draw returns true for that part of its calls.
func (o *load) draw(i int, part float64) bool {
	o.credit[i] += part
	if o.credit[i] < 1 {
		return false
	}
	o.credit[i]--
	return true
}
