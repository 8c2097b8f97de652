package header

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/wire"
)

func init() {
	caddy.RegisterModule(&Header{})
}

// Header changes header fields of a request, for the handlers that follow and for whoever it is
// relayed to. Fields on which transactions, dialogs and routing depend can't be changed. Names are
// long or compact, in any case, and stand for all lines of the field, however they are written.
// Values may have placeholders.
type Header struct {
	// Fields that are removed.
	Delete []string `json:"delete,omitempty"`

	// Fields that are replaced, all their lines, by these values, one a line.
	Set map[string][]string `json:"set,omitempty"`

	// Lines that are added.
	Add map[string][]string `json:"add,omitempty"`

	remove []string // long names
	lines  []line
}

type line struct{ name, value string }

// CaddyModule returns the Caddy module information.
func (*Header) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.handlers.header", New: func() caddy.Module { return new(Header) }}
}

// Provision puts the changes in order.
func (h *Header) Provision(caddy.Context) error {
	for _, name := range h.Delete {
		if err := h.replaced(name); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(h.Set)) {
		if err := h.replaced(name); err != nil {
			return err
		}
		h.added(name, h.Set[name])
	}
	for _, name := range slices.Sorted(maps.Keys(h.Add)) {
		if _, err := module.CheckField(name); err != nil {
			return err
		}
		h.added(name, h.Add[name])
	}
	if len(h.remove) == 0 && len(h.lines) == 0 {
		return errors.New("header changes nothing: give it a field")
	}
	return nil
}

// replaced notes a field whose lines are removed.
func (h *Header) replaced(name string) error {
	name, err := module.CheckField(name)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(h.remove, func(other string) bool { return wire.EqualFold([]byte(name), other) }) {
		return fmt.Errorf("the header field %s is set or removed twice", name)
	}
	h.remove = append(h.remove, name)
	return nil
}

func (h *Header) added(name string, values []string) {
	for _, v := range values {
		h.lines = append(h.lines, line{wire.CanonicalHeader(name), v})
	}
}

// ServeSIP implements module.Handler.
func (h *Header) ServeSIP(w module.ResponseWriter, r *module.Request, next module.Next) error {
	err := r.Edit(func(e *wire.Edits, m *wire.Message) {
		for _, name := range h.remove {
			e.DeleteHeader(m, name)
		}
		for _, l := range h.lines {
			e.AddHeader(m, l.name, r.Replace(l.value))
		}
	})
	if err != nil {
		return err
	}
	return next(w, r)
}

// Interface guards
var (
	_ module.Handler    = (*Header)(nil)
	_ caddy.Provisioner = (*Header)(nil)
)
