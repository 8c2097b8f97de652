package ratelog

import (
	"cmp"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Gate opens once an interval. Each kind of log entry has its own. The zero value is ready, and
// safe for concurrent use.
type Gate struct {
	// Interval is the time between two entries. Default: a second.
	Interval time.Duration

	next       atomic.Int64 // Unix time in nanoseconds
	suppressed atomic.Uint64
}

// Open reports whether an entry may be written now, and how many were suppressed since the last
// one.
func (g *Gate) Open() (suppressed uint64, ok bool) {
	return g.open(time.Now().UnixNano())
}

func (g *Gate) open(now int64) (suppressed uint64, ok bool) {
	interval := int64(cmp.Or(g.Interval, time.Second))
	next := g.next.Load()
	// One that is to stay shut for longer than an interval was shut before the clock was set back.
	shut := now < next && next-now <= interval
	if shut || !g.next.CompareAndSwap(next, now+interval) {
		g.suppressed.Add(1)
		return 0, false
	}
	return g.suppressed.Swap(0), true
}

// Log writes an entry if its level is enabled and the gate is open, with the number of suppressed
// entries before it, if any.
func (g *Gate) Log(l *zap.Logger, level zapcore.Level, msg string, fields ...zap.Field) {
	if !l.Core().Enabled(level) {
		return
	}
	more, ok := g.Open()
	if !ok {
		return
	}
	if c := l.Check(level, msg); c != nil {
		c.Write(append(fields, Suppressed(more))...)
	}
}

// Suppressed is the field for a number of suppressed entries. It writes nothing for 0.
func Suppressed(n uint64) zap.Field {
	if n == 0 {
		return zap.Skip()
	}
	return zap.Uint64("suppressed", n)
}
