package engine

import (
	"net/netip"

	"github.com/caddysip/caddysip/internal/ipset"
	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/wire"
)

// TrustsPath reports whether a Path is followed: the REGISTER came from one of the edge proxies,
// and the first value of Path, which says where requests are sent, points at one of them. If that
// is a host name, it is looked up later, for nobody but them, and the addresses it resolves to are
// checked against edges then.
func TrustsPath(edges ipset.Set, source netip.Addr, path []byte) bool {
	if len(path) == 0 || !edges.Contains(source) {
		return false
	}
	first, _ := wire.CutValue(path)
	a, err := wire.ParseNameAddr(first)
	if err != nil {
		return false
	}
	u, err := wire.ParseURI(a.URI)
	if err != nil || u.Scheme != wire.SIP {
		return false
	}
	addr, literal := wire.HostAddr(u.Target())
	return !literal || edges.Contains(addr)
}

// PathTo returns the Path by which requests reach a phone (RFC 3327), and the edge proxies, one of
// which its first value must resolve to. It returns nil when there is no Path, and also for a Path
// that the generation in force does not trust: the phone may have registered under another
// configuration, or before the last restart.
func (e *Engine) PathTo(b *location.Binding) (path []byte, edges ipset.Set) {
	text := b.Path()
	if text == "" {
		return nil, nil
	}
	g := e.current.Load()
	path = []byte(text)
	if g == nil || !TrustsPath(g.Edges, b.Source().Addr(), path) {
		return nil, nil
	}
	return path, g.Edges
}
