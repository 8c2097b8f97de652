package transport

import (
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// rateLog writes at most one line a second, and says how many it left out: the network must not be able to fill a disk.
type rateLog struct {
	next    atomic.Int64 // Unix time in nanoseconds
	skipped atomic.Uint64
}

func (r *rateLog) warn(log *zap.Logger, msg string, fields ...zap.Field) {
	now := time.Now().UnixNano()
	next := r.next.Load()
	if now < next || !r.next.CompareAndSwap(next, now+int64(time.Second)) {
		r.skipped.Add(1)
		return
	}
	if n := r.skipped.Swap(0); n > 0 {
		fields = append(fields, zap.Uint64("suppressed", n))
	}
	log.Warn(msg, fields...)
}
