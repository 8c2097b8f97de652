package digestauth

import (
	"fmt"

	"github.com/caddysip/caddysip/internal/sip/digest"
	"github.com/caddysip/caddysip/module"
)

func parseAlgorithm(name string) (digest.Algorithm, error) {
	a := digest.ParseAlgorithm(name)
	if a == digest.Other {
		return a, fmt.Errorf("%q is not an algorithm: there are MD5, SHA-256 and SHA-512-256", name)
	}
	return a, nil
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
	order, possible := h.offered(r)
	for _, a := range order {
		if !possible.has(a) {
			continue
		}
		header = append(header, name...)
		header = digest.AppendChallenge(header, h.realm, nonce, a, stale)
		header = append(header, "\r\n"...)
	}
	return w.WriteResponse(&module.Response{Status: status, Header: header})
}
