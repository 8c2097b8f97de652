package proxy

import (
	"errors"
	"net/netip"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/ipset"
	"github.com/caddysip/caddysip/wire"
)

// Where a request itself says that it goes, in its Request-URI, its Route, or by what placeholders
// took from it, may be inside the operator's network, where those are who trust it. Without
// allow_private it goes there only by a URI of the configuration, or to a phone that has registered
// from there.

var errPrivate = errors.New("the address is not one on the Internet; to let users reach it themselves, give proxy the option allow_private")

// denies returns why a request that says itself where it goes is not sent to an address; nothing
// when it is. It is asked for each address that a name has, when the request is about to be sent:
// the next look-up of a name may say something else.
func (p *Proxy) denies(addr netip.Addr) (kind string) {
	if p.AllowPrivate {
		return ""
	}
	if kind := ipset.Special(addr); kind != "" {
		return kind
	}
	var room [64]byte
	if p.app.IsLocal(wire.AppendHost(room[:0], addr)) {
		return "our own"
	}
	return ""
}

// denied gives up a place that the request may not name.
func (b *branch) denied(kind string) {
	p, r := b.c.p, b.c.r
	p.deniedLog.Log(p.logger, zap.InfoLevel, "a request was not relayed to the address that it names", zap.String("uri", wire.ForLog(b.target.uri)),
		zap.String("name", wire.ForLog(b.target.name)), zap.Stringer("address", b.at.Addr), zap.String("kind", kind),
		zap.String("user", wire.ForLog(r.AuthUser())), zap.Stringer("source", r.Source()), zap.Error(errPrivate))
	b.c.denied = "Private Address Not Allowed"
}

// place of a configured URI, which its placeholders cannot change.
type fixed struct {
	host string
	port uint16
}

// fixedPlace returns where a URI of the configuration leads whatever comes in for the placeholders
// of requests; nothing when that is up to them. Placeholders that are the same for all requests, as
// {env.NAME}, are the operator's own words.
func fixedPlace(repl *caddy.Replacer, text string) (f fixed) {
	text = repl.ReplaceKnown(text, "")
	for i, filling := range [...]string{"1", "22"} {
		u, err := wire.ParseURI([]byte(fill(text, filling)))
		if err != nil {
			return fixed{}
		}
		at := placeOf(&u)
		if i > 0 && at != f {
			return fixed{}
		}
		f = at
	}
	return f
}

func placeOf(u *wire.URI) fixed { return fixed{string(u.Target()), u.Port} }

// fill writes something in place of every placeholder.
func fill(text, filling string) string {
	var b strings.Builder
	for {
		before, rest, open := strings.Cut(text, "{")
		b.WriteString(before)
		if !open {
			return b.String()
		}
		b.WriteString(filling)
		_, text, _ = strings.Cut(rest, "}")
	}
}
