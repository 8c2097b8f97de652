package digestauth

import (
	"context"
	"errors"
	"hash/maphash"
	"time"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/sip/digest"
	"github.com/caddysip/caddysip/internal/sip/routetoken"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/wire"
)

// lookupTime is how long providers may take: the client is repeating its request meanwhile.
const lookupTime = 10 * time.Second

var errOver = errors.New("the call is over")

// ServeSIP implements module.Handler.
func (h *DigestAuth) ServeSIP(w module.ResponseWriter, r *module.Request, next module.Next) error {
	m := r.Message()
	if w.Status() != 0 || r.AuthUser() != "" || m.Method == wire.CANCEL {
		return h.pass(w, r, next) // a CANCEL cannot be sent again, so it is never challenged (RFC 3261 §22.1)
	}
	routes := h.routes(r)
	line, ok := h.credentials(r)
	switch ack := m.Method == wire.ACK; {
	case routes.Standing == routetoken.Over && !ack:
		return module.Error(481, errOver)
	case routes.Standing == routetoken.Admitted && (!ok || routes.From.User == 0 || routes.To.User != 0):
		return h.pass(w, r, next)
	case !ok && ack:
		return h.pass(w, r, next) // nobody can answer it, and proxy relays none of a stranger
	case !ok:
		outcomes.challenged.Inc()
		return h.challenge(w, r, false)
	}
	check := h.check
	if m.Method == wire.ACK {
		check = h.checkACK
	}
	if !h.blocking || !h.answers(r, line) {
		return check(w, r, next, line)
	}
	// The request's bytes move when it is kept.
	r.Go(w, module.PoolAuthentication, func() error {
		line, _ := h.credentials(r)
		return check(w, r, next, line)
	})
	return nil
}

// routes returns what the Route of a request within a call says. What belongs to a call that was
// set up through here needs no credentials, since its other end need not be a user; those that a
// user gives all the same are checked if there is more that they allow: see routetoken.
func (h *DigestAuth) routes(r *module.Request) routetoken.Routes {
	if m := r.Message(); m.Method != wire.REGISTER && r.InDialog() {
		rs, err := h.tokens.ReadRoutes(m, r.URI(), routetoken.Sender{Flow: inside.RequestOf(r).Flow, Trusted: r.Trusted()})
		if err == nil {
			return rs
		}
	}
	return routetoken.Routes{}
}

// answers reports whether credentials answer a challenge of ours. Of those that don't, which may be
// anybody's, no provider is asked.
func (h *DigestAuth) answers(r *module.Request, line []byte) bool {
	var c digest.Credentials
	if c.Parse(line) != nil || !h.accepts(r, c.Algorithm) {
		return false
	}
	_, ok := h.nonces.Read(&c, r.Source())
	return ok
}

// pass gives a request to the next handler, without the credentials that are for us: they are
// nobody else's business (RFC 3261 §22.3).
func (h *DigestAuth) pass(w module.ResponseWriter, r *module.Request, next module.Next) error {
	m := r.Message()
	if m.Has(wire.Authorization) || m.Has(wire.ProxyAuthorization) {
		err := r.Edit(func(e *wire.Edits, m *wire.Message) {
			for _, id := range [...]wire.HeaderID{wire.Authorization, wire.ProxyAuthorization} {
				for it := m.Lines(id.String()); it.Next(); {
					if string(digest.RealmOf(it.Value())) == string(h.realm) {
						e.Replace(it.Span())
					}
				}
			}
		})
		if err != nil {
			return err
		}
	}
	return next(w, r)
}

// maxLines is how many lines with credentials for our realm are looked at. A phone that has been
// challenged on its way by others with our realm, or keeps an answer to an old challenge, has two.
const maxLines = 4

// credentials returns the line with credentials for our realm that answers a challenge of ours; if
// there is none, the first that answers any challenge.
func (h *DigestAuth) credentials(r *module.Request) (line []byte, ok bool) {
	id := wire.ProxyAuthorization
	if h.forUs(r) {
		id = wire.Authorization
	}
	var lines [maxLines][]byte
	n := 0
	for it := r.Message().Lines(id.String()); n < maxLines && it.Next(); {
		v := it.Value()
		if string(digest.RealmOf(v)) == string(h.realm) && !digest.AnswersNothing(v) {
			lines[n] = v
			n++
		}
	}
	if n > 1 {
		for _, v := range lines[:n] {
			if h.answers(r, v) {
				return v, true
			}
		}
	}
	return lines[0], n > 0
}

// forUs reports whether a request is for this server as a registrar or user agent, and not for
// anybody who is reached through it as a proxy: then it is challenged with 401, else with 407 (RFC
// 3261 §22.2, §22.3).
func (h *DigestAuth) forUs(r *module.Request) bool {
	u := r.URI()
	return h.app.IsLocal(u.Host) && (r.Message().Method == wire.REGISTER || len(u.User) == 0)
}

var errURI = errors.New("the credentials are for another Request-URI")

// check lets a request with credentials pass, or refuses it.
func (h *DigestAuth) check(w module.ResponseWriter, r *module.Request, next module.Next, line []byte) error {
	var c digest.Credentials
	if err := c.Parse(line); err != nil {
		return h.malformed(r, "Malformed Credentials", err)
	}
	if !h.accepts(r, c.Algorithm) {
		outcomes.challenged.Inc()
		return h.challenge(w, r, false)
	}
	nonce, ok := h.nonces.Read(&c, r.Source())
	if !ok {
		// Whoever has not received a nonce of ours may be anybody, and gets no answer to whether
		// the password is right, which would be one to guesses that nobody counts. The client
		// learns that the nonce was no good (RFC 7616 §3.3), and asks with a new one.
		outcomes.stale.Inc()
		return h.challenge(w, r, true)
	}
	user := string(c.Username)
	if h.tooMany(r, user) {
		return module.HandlerError{Status: 403, Reason: "Too Many Wrong Passwords"}
	}
	right, err := h.verify(&c, user, r.Message().MethodName())
	switch {
	case err != nil:
		return err
	case !right:
		return h.wrong(w, r, user)
	case !h.sameURI(&c, r.URI()):
		return h.malformed(r, "Credentials for Another Request-URI", errURI)
	}
	switch h.nonces.Use(nonce, c.NC, identify(r), time.Duration(h.NonceLifetime)) {
	case digest.Stale:
		outcomes.stale.Inc()
		return h.challenge(w, r, true)
	case digest.Replayed:
		outcomes.replayed.Inc()
		h.refused(r, "credentials that were used before", user)
		return h.challenge(w, r, true)
	}
	if nonce.Port == r.Source().Port() {
		h.in.Engine.MarkValidated(inside.RequestOf(r).Flow)
	}
	h.in.Engine.MarkAuthenticated(r.Source().Addr(), user)
	if !h.mayActAs(user, r) {
		outcomes.forbidden.Inc()
		h.refused(r, "a user pretends to be somebody else", user, zap.String("from", wire.ForLog(addressOf(r, wire.From))),
			zap.String("to", wire.ForLog(addressOf(r, wire.To))))
		return module.Error(403, nil)
	}
	outcomes.accepted.Inc()
	r.SetAuthUser(user)
	return h.pass(w, r, next)
}

// verify reports whether the response is right. It takes as long for a user who isn't known as for
// a wrong password.
func (h *DigestAuth) verify(c *digest.Credentials, user string, method []byte) (bool, error) {
	ctx := context.Background()
	if h.blocking {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, lookupTime)
		defer cancel()
	}
	ha1 := ""
	for _, p := range h.providers {
		found, err := p.HA1(ctx, user, string(h.realm), c.Algorithm.String())
		if ha1 != "" {
			continue // asked all the same, so that the time does not tell who knows the user
		}
		if err != nil {
			return false, err
		}
		ha1 = found
	}
	known := len(ha1) == 2*c.Algorithm.Size()
	if !known {
		ha1 = h.decoyHA1[c.Algorithm]
	}
	return c.Verify(ha1, method) && known, nil
}

// wrong refuses a request whose response is wrong.
func (h *DigestAuth) wrong(w module.ResponseWriter, r *module.Request, user string) error {
	if h.guessed(r, user) {
		return nil
	}
	return h.challenge(w, r, false)
}

// tooMany reports whether so many wrong answers came for the user from there that no more are
// checked.
func (h *DigestAuth) tooMany(r *module.Request, user string) bool {
	refused := h.limit != nil && h.limit.lockedOut(r.Source().Addr(), user) && !h.registeredHere(user, r)
	if refused {
		outcomes.refused.Inc()
	}
	return refused
}

// guessed counts a wrong response, and reports whether its source is banned now, and the request
// dropped.
func (h *DigestAuth) guessed(r *module.Request, user string) bool {
	outcomes.wrong.Inc()
	h.refused(r, "a wrong password, or a user who is not known", user)
	banned := h.limit != nil && h.limit.failed(r, user)
	if banned {
		r.Drop()
	}
	return banned
}

func (h *DigestAuth) malformed(r *module.Request, reason string, err error) error {
	outcomes.malformed.Inc()
	if c := h.logger.Check(zap.DebugLevel, "malformed credentials"); c != nil {
		c.Write(zap.String("error", wire.ForLog(err.Error())), zap.Stringer("source", r.Source()))
	}
	return module.HandlerError{Status: 400, Reason: reason, Err: err}
}

// refused logs who was refused, without anything that a password could be guessed from. It does so
// once a minute for a user at an address: a phone may go on with an old password for months.
func (h *DigestAuth) refused(r *module.Request, why, user string, more ...zap.Field) {
	addr, what := r.Source().Addr(), why+user
	if h.logged.Has(addr, what) {
		return
	}
	h.logged.Set(addr, what, time.Minute)
	if c := h.logger.Check(zap.InfoLevel, why); c != nil {
		c.Write(append(more, zap.String("user", wire.ForLog(user)), zap.Stringer("source", r.Source()),
			zap.String("transport", r.Transport()), zap.String("method", wire.ForLog(r.Method())))...)
	}
}

var seed = maphash.MakeSeed()

// identify returns a hash of a request and where it came from, the same for a retransmission and
// for nothing else.
func identify(r *module.Request) uint64 {
	var hash maphash.Hash
	hash.SetSeed(seed)
	maphash.WriteComparable(&hash, r.Source())
	hash.Write(r.Message().Raw)
	return hash.Sum64()
}
