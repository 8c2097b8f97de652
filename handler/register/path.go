package register

import (
	"errors"
	"fmt"

	"github.com/caddysip/caddysip/internal/engine"
	"github.com/caddysip/caddysip/internal/ipset"
	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/wire"
)

// provisionPath finds out whose Path is followed.
func (h *Register) provisionPath(server *module.Server) error {
	ranges := h.PathFrom
	switch {
	case h.PathOff && ranges != nil:
		return errors.New("path_off and path_from exclude each other")
	case h.PathOff:
		return nil
	case ranges == nil:
		ranges = server.Trust
	}
	var err error
	if h.edges, err = ipset.Parse(ranges); err != nil {
		return fmt.Errorf("path from: %w", err)
	}
	h.in.AddEdges(h.edges)
	return nil
}

// path returns the values of Path, separated by commas. It is nil when the sender is none of those
// whose Path is followed: the request is then served as by a registrar that doesn't know RFC 3327,
// and calls go back to where it came from.
func (h *Register) path(m *wire.Message, f transport.Flow) (all []byte, err error) {
	if !m.Has(wire.Path) || !h.edges.Contains(f.Remote.Addr()) {
		return nil, nil
	}
	for v := m.Values(wire.Path); v.Next(); {
		a, err := wire.ParseNameAddr(v.Value())
		if err == nil {
			_, err = wire.ParseURI(a.URI)
		}
		if err != nil {
			return nil, module.HandlerError{Status: 400, Reason: "Malformed Path", Err: err}
		}
		if all != nil {
			all = append(all, ',')
		}
		if all = append(all, v.Value()...); len(all) > maxText {
			return nil, tooLong("Path")
		}
	}
	if all != nil && !engine.TrustsPath(h.edges, f.Remote.Addr(), all) {
		first, _ := wire.CutValue(all)
		return nil, module.HandlerError{Status: 403, Reason: "Path Not Allowed",
			Err: fmt.Errorf("the first Path value of %s, %s, leads to none of the addresses in path from", f.Remote, first)}
	}
	return all, nil
}
