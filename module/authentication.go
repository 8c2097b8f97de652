package module

import (
	"context"
	"net/netip"
	"slices"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/domains"
)

// AuthenticationProvider is a module (namespace sip.authentication.providers) that knows users, for
// the handler digest_auth.
//
// HA1 runs on a goroutine of its own and may block until the context ends. One that never does
// implements NonblockingProvider too.
type AuthenticationProvider interface {
	// HA1 returns what is known of a user in place of the password (RFC 7616 §3.4.2): the hash of
	// user:realm:password by the algorithm, which is MD5, SHA-256 or SHA-512-256, in lower-case
	// hexadecimal. Empty: the user is not known, or not by that algorithm. user is what a client
	// sent, any text. An error is answered with its status, 500 unless it has one.
	HA1(ctx context.Context, user, realm, algorithm string) (string, error)
}

// NonblockingProvider is implemented by providers whose HA1 does not block, so that it can be
// called on the goroutine that reads the socket.
type NonblockingProvider interface {
	Nonblocking()
}

// addTrusting adds a handler that trusts From without authentication.
func (s *Server) addTrusting(handler string) {
	if !slices.Contains(s.trusting, handler) {
		s.trusting = append(s.trusting, handler)
	}
}

// warnOpen warns when a server that can be reached from outside trusts From without
// authentication.
func (s *Server) warnOpen() {
	if s.authenticates || len(s.trusting) == 0 {
		return
	}
	var public []string
	for i, l := range s.app.generation.Listen {
		if s.app.owners[i] == s && reachable(l.Addr.Addr()) {
			public = append(public, l.String())
		}
	}
	if len(public) > 0 {
		s.logger.Warn("anybody who can reach the server can pretend to be any of its users: authenticate in front of these handlers, "+
			"or listen on a private address",
			zap.Strings("handlers", s.trusting), zap.Strings("listen", public))
	}
}

// reachable reports whether an address to listen on can be reached from other networks; the
// wildcard is any address that the machine has.
func reachable(a netip.Addr) bool {
	if a.IsUnspecified() {
		return slices.ContainsFunc(domains.InterfaceAddrs(), reachable)
	}
	return !a.IsLoopback() && !a.IsPrivate() && !a.IsLinkLocalUnicast()
}
