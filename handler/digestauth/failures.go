package digestauth

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/ban"
	"github.com/caddysip/caddysip/internal/ratelimit"
	"github.com/caddysip/caddysip/module"
)

// limit bans sources that guess passwords. What is counted came from where a nonce of ours was received, so nobody can have others banned by forging
// packets in their name.
type limit struct {
	bans   *ban.List
	logger *zap.Logger
	table  *ratelimit.Table // nil: the first wrong answer is one too many
	ban    time.Duration
}

// newLimit makes a limit for which the failures-th wrong answer within the window is one too many.
func newLimit(bans *ban.List, logger *zap.Logger, failures int, window, forHowLong time.Duration) (*limit, error) {
	l := &limit{bans: bans, logger: logger, ban: forHowLong}
	if failures == 1 {
		return l, nil
	}
	allowed := ratelimit.Limit{Events: failures - 1, Window: window}
	if err := allowed.Validate(); err != nil {
		return nil, errors.Join(errors.New("failures"), err)
	}
	l.table = ratelimit.New(allowed)
	return l, nil
}

// failed counts a wrong answer, and tells whether its source is banned now.
func (l *limit) failed(r *module.Request) bool {
	addr := r.Source().Addr()
	if l.table != nil && l.table.Allow(l.table.AddrKey(addr), r.Received()) {
		return false
	}
	if l.bans.Ban(addr, l.ban, "digest_auth: wrong passwords") {
		l.logger.Warn("banned a source that guesses passwords", zap.Stringer("source", addr), zap.Duration("for", l.ban))
	}
	return true
}

// authentications lives as long as the process, and each configuration registers it with its own registry.
var authentications = prometheus.NewCounterVec(prometheus.CounterOpts{
	Namespace: "caddy", Subsystem: "sip", Name: "authentication_total",
	Help: "Requests that digest_auth had to decide on, by outcome.",
}, []string{"outcome"})

var outcomes = struct {
	accepted, challenged, stale, wrong, replayed, forbidden, malformed prometheus.Counter
}{
	authentications.WithLabelValues("accepted"), authentications.WithLabelValues("challenged"), authentications.WithLabelValues("stale"),
	authentications.WithLabelValues("wrong"), authentications.WithLabelValues("replayed"), authentications.WithLabelValues("forbidden"),
	authentications.WithLabelValues("malformed"),
}

func registerMetrics(registry *prometheus.Registry) error {
	if registry == nil {
		return nil
	}
	var registered prometheus.AlreadyRegisteredError
	if err := registry.Register(authentications); err != nil && !errors.As(err, &registered) {
		return err
	}
	return nil
}
