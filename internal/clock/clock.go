package clock

import (
	"sync/atomic"
	"time"
)

// Tolerance is how far the system's clock may be off before Check reports that it has been set. NTP
// corrects a clock that is nearly right by less at a time.
const Tolerance = time.Second

// Clock is a clock that nobody sets: it began with the wall time, and has counted evenly since. It
// is safe for concurrent use.
type Clock struct {
	start time.Time
	began int64 // start in nanoseconds since 1970
	wall  func() time.Time
	ahead atomic.Int64 // how far the system's clock is ahead, in nanoseconds; full seconds
}

// New returns a clock that now shows what the system's does.
func New() *Clock { return FromWall(time.Now) }

// FromWall returns a clock that uses wall as the system's clock: for tests, which can set that.
func FromWall(wall func() time.Time) *Clock {
	return &Clock{start: time.Now(), began: wall().UnixNano(), wall: wall}
}

// UnixNano returns the time by this clock, in nanoseconds since 1970.
func (c *Clock) UnixNano() int64 { return c.began + int64(time.Since(c.start)) }

// Now returns the time by this clock. Such times are only compared with each other, never with
// those of time.Now.
func (c *Clock) Now() time.Time { return time.Unix(0, c.UnixNano()) }

// Unix returns the time by this clock, in seconds since 1970.
func (c *Clock) Unix() uint32 { return uint32(c.UnixNano() / int64(time.Second)) }

// ToWall returns the wall time of a time by this clock; the zero time stays.
func (c *Clock) ToWall(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.Add(time.Duration(c.ahead.Load()))
}

// FromWall is the inverse of ToWall.
func (c *Clock) FromWall(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.Add(-time.Duration(c.ahead.Load()))
}

// Check reports whether the system's clock has been set since the last time, and by how much. It is
// for one goroutine.
func (c *Clock) Check() (by time.Duration, set bool) {
	ahead := time.Duration(c.ahead.Load())
	by = time.Duration(c.wall().UnixNano()-c.UnixNano()) - ahead
	if by.Abs() < Tolerance {
		return 0, false
	}
	c.ahead.Store(int64((ahead + by).Round(time.Second)))
	return by, true
}
