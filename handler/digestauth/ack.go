package digestauth

import (
	"time"

	"github.com/caddysip/caddysip/internal/sip/digest"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/wire"
)

// checkACK finds out who sent an ACK. That of a 2xx has the credentials of its INVITE (RFC 3261
// §22.1), with the nonce count that the INVITE has used. It is never answered: when they are wrong
// it goes on as anybody's.
func (h *DigestAuth) checkACK(w module.ResponseWriter, r *module.Request, next module.Next, line []byte) error {
	user, right, err := h.acknowledges(r, line)
	switch {
	case err != nil:
		return err
	case right:
		outcomes.accepted.Inc()
		r.SetAuthUser(user)
	case user != "" && h.guessed(r, user):
		return nil
	}
	return h.pass(w, r, next)
}

// acknowledges checks the credentials of an ACK. user is empty when they are not even an attempt.
func (h *DigestAuth) acknowledges(r *module.Request, line []byte) (user string, right bool, err error) {
	var c digest.Credentials
	if c.Parse(line) != nil || !h.accepts(r, c.Algorithm) {
		return "", false, nil
	}
	nonce, ok := h.nonces.Read(&c, r.Source())
	// The URI is the INVITE's, which is in To.
	if _, to := r.To(); !ok || !h.sameURI(&c, &to) {
		return "", false, nil
	}
	user = string(c.Username)
	if h.tooMany(r, user) {
		return "", false, nil
	}
	for _, method := range [...]wire.Method{wire.INVITE, wire.ACK} {
		if right, err = h.verify(&c, user, []byte(method.String())); right || err != nil {
			break
		}
	}
	if err != nil || !right {
		return user, false, err
	}
	if !h.mayActAs(user, r) || h.nonces.Use(nonce, c.NC, identify(r), time.Duration(h.NonceLifetime)) == digest.Stale {
		return "", false, nil
	}
	return user, true, nil
}
