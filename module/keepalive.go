package module

import (
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/internal/engine"
)

// The methods of KeepAlive.
const (
	KeepAliveCRLF    = "crlf"
	KeepAliveOptions = "options"
)

// minKeepAlive is shorter than any NAT keeps a mapping.
const minKeepAlive = 5 * time.Second

// KeepAlive makes a server send something to each phone from time to time, so that the NAT in front
// of the phone keeps letting calls in.
type KeepAlive struct {
	// How often each phone is sent something. NATs forget after 30 seconds and more, so 25s is
	// right for nearly all of them.
	Interval caddy.Duration `json:"interval"`

	// What is sent: crlf, which are two empty lines that nobody answers, or options, a request that
	// phones answer. A phone that leaves three of these in a row unanswered has gone, and its
	// registration ends. Default: crlf.
	Method string `json:"method,omitempty"`
}

// Validate checks the options.
func (k *KeepAlive) Validate() error {
	if d := time.Duration(k.Interval); d < minKeepAlive {
		return fmt.Errorf("keepalive %s: the interval must be %s or more, 25s is usual",
			d, minKeepAlive)
	}
	if k.Method != "" && k.Method != KeepAliveCRLF && k.Method != KeepAliveOptions {
		return fmt.Errorf("keepalive: '%s' is no method, it is %s or %s",
			k.Method, KeepAliveCRLF, KeepAliveOptions)
	}
	return nil
}

// setting returns the engine's form, nil for nil.
func (k *KeepAlive) setting() (*engine.KeepAlive, error) {
	if k == nil {
		return nil, nil
	}
	if err := k.Validate(); err != nil {
		return nil, err
	}
	return &engine.KeepAlive{
		Interval: time.Duration(k.Interval), Options: k.Method == KeepAliveOptions,
	}, nil
}
