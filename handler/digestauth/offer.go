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

// onlyMD5 are clients that give up at a challenge that they don't know, wherever it stands among
// those that they do.
var onlyMD5 = []string{
	"baresip v0*", "baresip v1*",
	"sipsak *",
}

// Client says which algorithms some clients are offered.
type Client struct {
	// The clients, by their User-Agent: a glob in which case does not matter. Placeholders are
	// allowed.
	UserAgent string `json:"user_agent"`

	// The algorithms to offer them, the preferred one first.
	Algorithms []string `json:"algorithms"`

	patterns []string
	order    []digest.Algorithm
}

// provisionAlgorithms reads which algorithms are offered, and to which clients.
func (h *DigestAuth) provisionAlgorithms() (err error) {
	if h.order, err = parseAlgorithms(h.Algorithms); err != nil {
		return err
	}
	for i := range h.Clients {
		c := &h.Clients[i]
		c.patterns = []string{c.UserAgent}
		if err := module.ReplaceGlobalInPatterns(c.patterns); err != nil {
			return fmt.Errorf("algorithm: %w", err)
		}
		if c.order, err = parseAlgorithms(c.Algorithms); err != nil {
			return err
		}
		if c.UserAgent == "" || len(c.order) == 0 {
			return fmt.Errorf("the algorithms for the clients %q: "+
				"a user agent and algorithms are needed", c.UserAgent)
		}
	}
	return nil
}

func parseAlgorithms(names []string) (order []digest.Algorithm, err error) {
	for _, name := range names {
		a, err := parseAlgorithm(name)
		if err != nil {
			return nil, err
		}
		if slices.Contains(order, a) {
			return nil, fmt.Errorf("the algorithm %s is there twice", a)
		}
		order = append(order, a)
	}
	return order, nil
}

// configured reports whether the configuration names an algorithm.
func (h *DigestAuth) configured(a digest.Algorithm) bool {
	return slices.Contains(h.order, a) ||
		slices.ContainsFunc(h.Clients, func(c Client) bool { return slices.Contains(c.order, a) })
}

// configuredFor returns the algorithms that the configuration has for the client of a request, nil
// if it leaves that to us.
func (h *DigestAuth) configuredFor(r *module.Request) []digest.Algorithm {
	if len(h.Clients) > 0 {
		agent := r.Message().Header(wire.UserAgent)
		for i := range h.Clients {
			if c := &h.Clients[i]; agent != nil && r.MatchesAny(c.patterns, agent, true) {
				return c.order
			}
		}
	}
	return h.order
}

// possible returns those of the default algorithms that all users have, so that no client chooses
// one that it must fail with. It does not depend on the user who asks: otherwise strangers could
// find out which users there are.
func (h *DigestAuth) possible() algorithms {
	common := h.list.common
	if h.file != nil {
		common &= h.file.current.Load().common
	}
	if common &= allDefaults; common == 0 {
		common = allDefaults // there is none that all have
	}
	return common
}

// offered returns which algorithms the client of a request is offered, and in which order: those
// that are among the possible ones.
func (h *DigestAuth) offered(r *module.Request) (order []digest.Algorithm, possible algorithms) {
	if order := h.configuredFor(r); order != nil {
		return order, allAlgorithms
	}
	possible = h.possible()
	agent := r.Message().Header(wire.UserAgent)
	matches := func(pattern string) bool { return module.Glob(pattern, agent, true) }
	switch {
	case snom.IsSnom(string(agent)):
		return snomAlgorithms, possible
	case possible.has(digest.MD5) && slices.ContainsFunc(onlyMD5, matches):
		return snomAlgorithms[:1], possible
	}
	return defaultAlgorithms, possible
}

// accepts reports whether the client of a request may use an algorithm. An ACK, which is never
// challenged, may be without the User-Agent of its INVITE.
func (h *DigestAuth) accepts(r *module.Request, a digest.Algorithm) bool {
	if order := h.configuredFor(r); order != nil {
		return slices.Contains(order, a) || r.Message().Method == wire.ACK && h.configured(a)
	}
	return h.possible().has(a)
}
