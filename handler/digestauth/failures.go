package digestauth

import (
	"cmp"
	"errors"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/ban"
	"github.com/caddysip/caddysip/internal/engine"
	"github.com/caddysip/caddysip/internal/metrics"
	"github.com/caddysip/caddysip/internal/ratelimit"
	"github.com/caddysip/caddysip/module"
)

// limit ends guessing. Three things are counted, each by a wrong answer that came from where a
// nonce of ours was received, so that nobody can get others refused by forging packets in their
// name:
//
//   - of a source where no user is known to be: one that guesses is banned.
//   - of a user at a source where users are, which is never banned, for one phone with an old password behind the address
//     of an office would have the whole office banned. What comes for that user from there is refused unchecked for the
//     same time, but for what comes from where he is registered from.
//   - of all users at such a source, several times as much: beyond it nobody is checked who has not been right there before.
//
// So somebody who has an account behind that address cannot guess the passwords of all the others.
type limit struct {
	engine   *engine.Engine
	logger   *zap.Logger
	counts   *ratelimit.Table // nil: the first wrong answer is one too many
	all      *ratelimit.Table // of a source with users
	lockouts *ban.Marks       // users at sources, and sources, from which no more is checked
	ban      time.Duration
}

// manyUsers is how many times as many wrong answers a source may send where users are.
const manyUsers = 5

// newLimit makes a limit for which the failures-th wrong answer within the window is one too many.
func newLimit(e *engine.Engine, logger *zap.Logger, failures int, window, forHowLong time.Duration) (*limit, error) {
	l := &limit{engine: e, logger: logger, lockouts: ban.NewMarks(11), ban: forHowLong}
	allowed := ratelimit.Limit{Events: max(failures-1, 1), Window: window}
	all := ratelimit.Limit{Events: manyUsers * failures, Window: window}
	if err := cmp.Or(allowed.Validate(), all.Validate()); err != nil {
		return nil, errors.Join(errors.New("failures"), err)
	}
	if failures > 1 {
		l.counts = ratelimit.New(allowed)
	}
	l.all = ratelimit.New(all)
	return l, nil
}

// lockedOut reports whether a user is not checked at an address, whatever the password.
func (l *limit) lockedOut(addr netip.Addr, user string) bool {
	if !l.engine.HasUsers(addr) {
		return false
	}
	return l.lockouts.Has(addr, user) || l.lockouts.Has(addr, "") && !l.engine.HasUser(addr, user)
}

// failed counts a wrong answer, and reports whether its source is banned now.
func (l *limit) failed(r *module.Request, user string) bool {
	addr := r.Source().Addr()
	if !l.engine.HasUsers(addr) {
		if l.within(l.counts, addr, "", r.Received()) {
			return false
		}
		if l.engine.Ban(addr, l.ban, "digest_auth: wrong passwords") {
			l.logger.Warn("banned a source that guesses passwords", zap.Stringer("source", addr), zap.Duration("for", l.ban))
		}
		return true
	}
	if !l.within(l.counts, addr, user, r.Received()) {
		l.lockouts.Set(addr, user, l.ban)
	}
	if !l.within(l.all, addr, "all", r.Received()) && !l.lockouts.Has(addr, "") {
		l.lockouts.Set(addr, "", l.ban)
		l.logger.Warn("many wrong passwords come from an address where users are: others are not let in there for a while",
			zap.Stringer("source", addr), zap.Duration("for", l.ban))
	}
	return false
}

// within counts a wrong answer, and reports whether it is within the limit.
func (l *limit) within(t *ratelimit.Table, addr netip.Addr, user string, now time.Time) bool {
	if t == nil {
		return false
	}
	key := t.AddrKey(addr)
	if user != "" {
		key ^= t.Key(user)
	}
	return t.Allow(key, now)
}

var authentications = metrics.Counters("authentication_total",
	"Requests that digest_auth had to decide on, by outcome.", "outcome")

var outcomes = struct {
	accepted, challenged, stale, wrong, refused, replayed, forbidden, malformed prometheus.Counter
}{
	accepted:   authentications.WithLabelValues("accepted"),
	challenged: authentications.WithLabelValues("challenged"),
	stale:      authentications.WithLabelValues("stale"),
	wrong:      authentications.WithLabelValues("wrong"),
	refused:    authentications.WithLabelValues("refused"),
	replayed:   authentications.WithLabelValues("replayed"),
	forbidden:  authentications.WithLabelValues("forbidden"),
	malformed:  authentications.WithLabelValues("malformed"),
}
