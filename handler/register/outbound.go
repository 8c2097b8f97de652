package register

import (
	"bytes"
	"slices"

	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

// outboundTag is the option tag of RFC 5626.
const outboundTag = "outbound"

// flows reports whether a Contact with a reg-id stands for the flow that the REGISTER came over,
// and not for its URI (RFC 5626 §6). Behind another proxy it does when that keeps the flow, which
// ob in its Path says. Straight from the phone it does on a connection: a flow over UDP would have
// to be kept open with STUN, which is not spoken here, so there a reg-id is ignored, as by any
// registrar that knows none.
func (h *Register) flows(m *wire.Message, f transport.Flow) bool {
	if !m.IsForwarded() {
		return f.Network.Reliable()
	}
	if !h.edges.Contains(f.Remote.Addr()) {
		return false
	}
	for v := m.Values(wire.Path); v.Next(); {
		if a, err := wire.ParseNameAddr(v.Value()); err == nil {
			if u, err := wire.ParseURI(a.URI); err == nil {
				if _, ob := u.Param("ob"); ob {
					return true
				}
			}
		}
	}
	return false
}

func supports(m *wire.Message, tag string) bool {
	for v := m.Values(wire.Supported); v.Next(); {
		if wire.EqualFold(v.Value(), tag) {
			return true
		}
	}
	return false
}

// instance returns a +sip.instance as it is compared and written: with the quotes, which some
// phones leave away. It is nil when there is none.
func instance(value []byte) []byte {
	if n := len(value); n > 2 && value[0] == '"' && value[n-1] == '"' {
		return value
	}
	if len(value) == 0 || bytes.ContainsAny(value, `"\`) {
		return nil
	}
	return slices.Concat([]byte{'"'}, value, []byte{'"'})
}
