package transport

import "time"

const (
	// lateAfter is how old a datagram that is read may be before the reader counts as behind.
	lateAfter = 50 * time.Millisecond
	// standing is how long the reader must have been behind before anything is refused: a burst is no overload.
	standing = 100 * time.Millisecond
	// loadStep is how often the part that is admitted changes.
	loadStep = 20 * time.Millisecond
	// leastAdmitted is admitted however far the reader is behind.
	leastAdmitted = 1.0 / 16
)

// load tells how much of what is new a reader should take on, so that it keeps up with the rest. When what arrives has been waiting too long, or found the
// receive buffer full, for some time, the part that is admitted shrinks step by step; when it hasn't, it grows again, to all
// within half a second. It belongs to one reader.
type load struct {
	behind  time.Time // since when the reader is; zero: it is not
	step    time.Time // the latest one
	refused float64   // the part that is not admitted, 0 to 1
	silent  float64   // the part of that which is not even answered
	credit  [2]float64
}

// Admission is what to do with a request that begins something new.
type Admission uint8

// When refusing alone doesn't let a reader keep up, what is refused gets no answer.
const (
	Admit Admission = iota
	Refuse
	Drop
)

// watched tells whether the next batch must be observed even if it is a small one.
func (o *load) watched() bool { return o.refused > 0 || !o.behind.IsZero() }

// observe is told how long the latest datagram of a batch had been waiting, and whether others had found no room.
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
		o.silent = max(0, o.silent-steps/10)
	case now.Sub(o.behind) < standing:
	case o.refused < 1-leastAdmitted:
		o.refused = min(1-(1-o.refused)*0.85, 1-leastAdmitted)
	default:
		o.silent = min(1, o.silent+0.1)
	}
	o.step = now
}

// admit tells what to do with the next request that begins something.
func (o *load) admit() Admission {
	switch {
	case o.refused == 0 || !o.draw(0, o.refused):
		return Admit
	case o.draw(1, o.silent):
		return Drop
	}
	return Refuse
}

// draw is true for a part of the calls.
func (o *load) draw(i int, part float64) bool {
	o.credit[i] += part
	if o.credit[i] < 1 {
		return false
	}
	o.credit[i]--
	return true
}
