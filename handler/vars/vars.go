package vars

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/module"
)

func init() {
	caddy.RegisterModule(&Vars{})
}

// Vars sets variables of a request: the keys are their names, and the values what they are set to,
// in which placeholders are replaced. They are read as {sip.vars.<name>}, and by the matcher vars.
type Vars map[string]any

// CaddyModule returns the Caddy module information.
func (*Vars) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.handlers.vars", New: func() caddy.Module { return new(Vars) }}
}

// Validate refuses the names of the server's own variables.
func (v Vars) Validate() error {
	for name := range v {
		if err := check(name); err != nil {
			return err
		}
	}
	return nil
}

func check(name string) error {
	switch {
	case name == "":
		return errors.New("a variable needs a name")
	case name == "handler":
		return errors.New(`a variable can't be named "handler": in JSON that is the handler's own name`)
	case strings.Contains(name, "{"):
		return fmt.Errorf("the variable %q: there are no placeholders in names", name)
	case strings.HasPrefix(name, "sip.") || strings.HasPrefix(name, "regexp."):
		return fmt.Errorf("the variable %q is the server's own: names don't begin with sip. or regexp", name)
	}
	return nil
}

// ServeSIP implements module.Handler.
func (v Vars) ServeSIP(w module.ResponseWriter, r *module.Request, next module.Next) error {
	for name, value := range v {
		if text, ok := value.(string); ok {
			value = r.Replace(text)
		}
		r.SetVar(name, value)
	}
	return next(w, r)
}

// Interface guards
var (
	_ module.Handler  = (*Vars)(nil)
	_ caddy.Validator = (*Vars)(nil)
)
