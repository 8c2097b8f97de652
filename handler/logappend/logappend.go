package logappend

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/module"
)

func init() {
	caddy.RegisterModule(&LogAppend{})
}

// LogAppend adds a field to the request's entry in the access log, which is written when the final
// response has been sent: what later handlers find out is in it.
type LogAppend struct {
	// The name of the field.
	Key string `json:"key"`

	// Its value. It may have placeholders.
	Value string `json:"value"`
}

// CaddyModule returns the Caddy module information.
func (*LogAppend) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.handlers.log_append", New: func() caddy.Module { return new(LogAppend) }}
}

// Validate refuses what is no name of a field.
func (h *LogAppend) Validate() error {
	switch {
	case h.Key == "":
		return errors.New("log_append needs the name of a field")
	case strings.Contains(h.Key, "{"):
		return fmt.Errorf("the field %q: there are no placeholders in names", h.Key)
	}
	return nil
}

// ServeSIP implements module.Handler.
func (h *LogAppend) ServeSIP(w module.ResponseWriter, r *module.Request, next module.Next) error {
	r.LogField(h.Key, value{r, h.Value})
	return next(w, r)
}

// value is a text whose placeholders are replaced when the log entry is written.
type value struct {
	request *module.Request
	text    string
}

// String implements fmt.Stringer.
func (v value) String() string { return v.request.Replace(v.text) }

// Interface guards
var (
	_ module.Handler  = (*LogAppend)(nil)
	_ caddy.Validator = (*LogAppend)(nil)
)
