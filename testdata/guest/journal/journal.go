// Package journal is a handler of Caddy's events: it writes what happens on the SIP server into a
// file.
package journal

import (
	"context"
	"encoding/json"
	"os"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
)

func init() {
	caddy.RegisterModule(new(Journal))
}

// Journal appends each event to a file, a line of JSON for each.
type Journal struct {
	// The file.
	File string `json:"file"`

	mu   sync.Mutex
	file *os.File
}

// CaddyModule returns the Caddy module information.
func (*Journal) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.journal", New: func() caddy.Module { return new(Journal) }}
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	journal <file>
func (j *Journal) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if d.Next(); !d.AllArgs(&j.File) {
		return d.ArgErr()
	}
	return nil
}

// Provision opens the file.
func (j *Journal) Provision(caddy.Context) (err error) {
	j.file, err = os.OpenFile(j.File, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	return err
}

// Cleanup closes it.
func (j *Journal) Cleanup() error {
	if j.file == nil {
		return nil
	}
	return j.file.Close()
}

// Handle implements caddyevents.Handler.
func (j *Journal) Handle(_ context.Context, e caddy.Event) error {
	line, err := json.Marshal(map[string]any{"event": e.Name(), "data": e.Data})
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	_, err = j.file.Write(append(line, '\n'))
	return err
}

// Interface guards
var (
	_ caddy.Provisioner     = (*Journal)(nil)
	_ caddy.CleanerUpper    = (*Journal)(nil)
	_ caddyfile.Unmarshaler = (*Journal)(nil)
	_ caddyevents.Handler   = (*Journal)(nil)
)
