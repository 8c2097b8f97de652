package digestauth

import (
	"fmt"
	"slices"

	"github.com/caddysip/caddysip/internal/sip/digest"
	"github.com/caddysip/caddysip/internal/snomkeys/snom"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/wire"
)

// What is offered unless the configuration says otherwise. A client takes the topmost challenge
// that it can answer (RFC 8760 §2.4), but Snom phones look at the topmost alone, and can answer
// only MD5.
var (
	defaultAlgorithms = []digest.Algorithm{digest.SHA256, digest.MD5}
	snomAlgorithms    = []digest.Algorithm{digest.MD5, digest.SHA256}
)

func parseAlgorithm(name string) (digest.Algorithm, error) {
	a := digest.ParseAlgorithm(name)
	if a == digest.Other {
		return a, fmt.Errorf("%q is not an algorithm: there are MD5, SHA-256 and SHA-512-256", name)
	}
	return a, nil
}

// offers reports whether an algorithm is among those that are offered: all that were configured,
// else of the default ones those that all users have, so that no client chooses one that it must
// fail with. Who the user is has no part in it, or strangers could find out who there is.
func (h *DigestAuth) offers(a digest.Algorithm) bool {
	if h.order != nil {
		return slices.Contains(h.order, a)
	}
	common := h.list.common
	if h.file != nil {
		common &= h.file.current.Load().common
	}
	if common&allDefaults == 0 {
		common = allDefaults // there is none that all have
	}
	return slices.Contains(defaultAlgorithms, a) && common.has(a)
}

// challenge asks for credentials, by each algorithm in a header field of its own, the preferred one
// on top (RFC 8760 §2.3).
func (h *DigestAuth) challenge(w module.ResponseWriter, r *module.Request, stale bool) error {
	name, status := "Proxy-Authenticate: ", 407
	if h.forUs(r) {
		name, status = "WWW-Authenticate: ", 401
	}
	var room [digest.NonceLength]byte
	nonce := h.nonces.Append(room[:0], h.realm, r.Source())
	header := make([]byte, 0, 320)
	for _, a := range h.preferred(r) {
		if !h.offers(a) {
			continue
		}
		header = append(header, name...)
		header = digest.AppendChallenge(header, h.realm, nonce, a, stale)
		header = append(header, "\r\n"...)
	}
	return w.WriteResponse(&module.Response{Status: status, Header: header})
}

func (h *DigestAuth) preferred(r *module.Request) []digest.Algorithm {
	if h.order != nil {
		return h.order
	}
	if _, ok := snom.ParseUserAgent(string(r.Message().Header(wire.UserAgent))); ok {
		return snomAlgorithms
	}
	return defaultAlgorithms
}
