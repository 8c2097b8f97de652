package phone

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/caddysip/caddysip/internal/snomkeys/buttons"
	"github.com/caddysip/caddysip/internal/snomkeys/snom"
	"github.com/caddysip/caddysip/wire"
)

// Config is the configuration of a phone. Server and User are required.
//
// Its functions are called on the goroutine that received or sent, one at a time for one event, and
// must return soon.
type Config struct {
	Server    string // host:port; without a port the transport's own
	Transport string // udp (the default), tcp, tls, ws or wss

	User     string // the user part of the address-of-record, and of the digest's username
	AuthUser string // the digest's username, where it is another
	Password string // empty: challenges are not answered
	Domain   string // of the address-of-record; default: Server's host

	Model     string // default 370
	UserAgent string // default: as the model writes it, such as snom370/8.7.5.48
	Keys      int    // function keys; default: as many as the model has

	// LocalAddr is the host:port to send from, either of which may be missing.
	// By default the system chooses both.
	LocalAddr string

	// TLS is used for tls and wss. By default the system's certificates are
	// trusted and the server's name is Server's host.
	TLS *tls.Config

	Expires    time.Duration // asked of the registrar; default an hour
	NoLine     bool          // Contact without a line parameter, and any Request-URI accepted
	AutoAnswer bool          // incoming calls are answered by themselves

	Logger *slog.Logger // default: nothing is logged

	OnRegistration func(registered bool, err error) // a REGISTER has got its answer, or none
	OnKey          func(buttons.Button)             // a key has been set
	OnCall         func(*Call)                      // a call has changed
	OnText         func(from, text string)          // a text/plain MESSAGE came
	Trace          func(sent bool, message string)  // every message, as it is on the wire
}

// The firmware that a simulated phone claims to have: the last of the old
// phones, and one of the D phones'.
const (
	firmware8  = "8.7.5.48"
	firmware10 = "10.1.84.12"
)

// withDefaults checks c and fills in what is missing.
func (c Config) withDefaults() (Config, error) {
	if c.Server == "" {
		return c, errors.New("no server given: host:port")
	}
	if c.User == "" {
		return c, errors.New("no user given")
	}
	t, ok := transports[c.Transport]
	if !ok {
		return c, fmt.Errorf("transport %q: must be udp, tcp, tls, ws or wss", c.Transport)
	}
	host, port, err := net.SplitHostPort(c.Server)
	if err != nil {
		host, port = strings.Trim(c.Server, "[]"), t.port
	}
	if host == "" {
		host = "localhost"
	}
	c.Server = net.JoinHostPort(host, port)

	if c.Domain == "" {
		c.Domain = bracket(host)
	}
	if c.AuthUser == "" {
		c.AuthUser = c.User
	}
	if c.Model == "" {
		c.Model = "370"
	}
	model, _ := snom.Lookup(c.Model)
	if c.Keys == 0 {
		c.Keys = model.Keys
	}
	if c.UserAgent == "" {
		c.UserAgent = "snom" + c.Model + "/" + firmware8
		if c.Model[0] == 'D' {
			c.UserAgent = "snom" + c.Model + "/" + firmware10
		}
	}
	if c.Expires == 0 {
		c.Expires = time.Hour
	}
	if c.Expires < time.Second {
		return c, fmt.Errorf("expires %v: must be a second or more", c.Expires)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	for _, f := range [...]struct{ name, value string }{{"domain", c.Domain}, {"model", c.Model}, {"user agent", c.UserAgent}} {
		if strings.ContainsFunc(f.value, isControl) {
			return c, fmt.Errorf("%s %q: must not contain control characters", f.name, f.value)
		}
	}
	return c, nil
}

// transports are the ones a phone can use, by the name in its configuration.
var transports = map[string]struct {
	via    string // the token of the Via header
	port   string // where the server listens if nothing else is said
	stream bool   // the phone has one connection to its server
	tls    bool
	ws     bool
}{
	"":    {via: "UDP", port: "5060"},
	"udp": {via: "UDP", port: "5060"},
	"tcp": {via: "TCP", port: "5060", stream: true},
	"tls": {via: "TLS", port: "5061", stream: true, tls: true},
	"ws":  {via: "WS", port: "80", stream: true, ws: true},
	"wss": {via: "WSS", port: "443", stream: true, tls: true, ws: true},
}

// uri returns a number as a SIP URI: as it is if it is one, else as a user of the phone's domain.
func (p *Phone) uri(number string) (sip.Uri, error) {
	if number == "" || strings.ContainsFunc(number, isControl) {
		return sip.Uri{}, fmt.Errorf("%q is not a number to dial", number)
	}
	uri := sip.Uri{}
	lower := strings.ToLower(number)
	switch {
	case strings.HasPrefix(lower, "sip:"), strings.HasPrefix(lower, "sips:"):
	case strings.Contains(number, "@"):
		number = "sip:" + number
	default:
		uri = p.domain
		uri.User = escapeUser(number)
		return uri, nil
	}
	if strings.ContainsAny(number, " <>\"") {
		return sip.Uri{}, fmt.Errorf("%q is not a SIP URI", number)
	}
	if err := sip.ParseUri(number, &uri); err != nil {
		return sip.Uri{}, fmt.Errorf("%q is not a SIP URI: %w", number, err)
	}
	return uri, nil
}

// escapeUser returns the user part of a URI that stands for a text: the # of many a code is
// escaped.
func escapeUser(user string) string { return string(wire.AppendEscapedUser(nil, user)) }

// bracket writes an IP address or name as the host of a URI.
func bracket(host string) string {
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		return "[" + host + "]"
	}
	return host
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }
