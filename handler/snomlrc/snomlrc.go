package snomlrc

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/metrics"
	"github.com/caddysip/caddysip/internal/snomkeys/buttons"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/wire"
)

func init() {
	caddy.RegisterModule(&SnomLRC{})
}

// SnomLRC lets a Snom phone switch a lamp by dialling a number: it answers the call with an error, since it is none, and sends the phone a
// MESSAGE that sets one of its keys. Calls of other phones, and to other numbers, go on to the next handler.
//
// A call is answered first, and each gets one MESSAGE however often the phone repeats it. The MESSAGE goes to where the call came from and
// nowhere else, with the Contact of the call as its Request-URI.
type SnomLRC struct {
	// The phones that are served, as globs of User-Agent without regard to case. Placeholders are
	// replaced. Default: *snom*
	UserAgents []string `json:"user_agents,omitempty"`

	// The key to set: the name in the Number field of a key of type Button. Placeholders are replaced. Default: 2
	Key string `json:"key,omitempty"`

	// What the key dials when it is pressed. Placeholders are replaced. Default: 432
	Press string `json:"press,omitempty"`

	// How the key dials: invite or message. Default: invite
	Action string `json:"action,omitempty"`

	// The key's label; {light} stands for the light. Placeholders are replaced. Default: Light is {light}
	Label string `json:"label,omitempty"`

	// The status the caller gets. Default: 404
	Status int `json:"status,omitempty"`

	// The reason phrase the caller gets. Placeholders are replaced. Default: Not a call
	Reason string `json:"reason,omitempty"`

	// The From URI of the MESSAGE. Placeholders are replaced. Default: sip:server@{sip.local.host}
	From string `json:"from,omitempty"`

	// What each number does. Default: 431 on, 432 off, 433 hold, 434 park, 435 pickup, 436 message, 437 offline, 438 seized, 439 record, 440 error.
	Lights []Light `json:"lights,omitempty"`

	app    *module.App
	in     *inside.App
	logger *zap.Logger
	lights map[string]*light

	records recordQueue
}

// Light is what dialling one number does.
type Light struct {
	// The user part of the Request-URI. Global placeholders, such as {env.NAME}, are replaced.
	Number string `json:"number"`

	// on, off, hold, park, pickup, message, offline, seized, record or error.
	Light string `json:"light"`

	// red, green, orange, local or remote. Default: the phone's own colour.
	Color string `json:"color,omitempty"`
}

// light is a Light with what can be made beforehand.
type light struct {
	Light
	body []byte // nil when it has placeholders
}

// CaddyModule returns the Caddy module information.
func (*SnomLRC) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.handlers.snom_lrc", New: func() caddy.Module { return new(SnomLRC) }}
}

func orDefault(s *string, d string) {
	if *s == "" {
		*s = d
	}
}

// Provision sets the defaults and makes the documents.
func (h *SnomLRC) Provision(ctx caddy.Context) (err error) {
	h.logger = ctx.Logger()
	if h.app, err = module.AppFrom(ctx); err != nil {
		return err
	}
	h.in = inside.AppOf(h.app)
	if err := metrics.Register(ctx.GetMetricsRegistry(), pushesTotal); err != nil {
		return err
	}
	if len(h.UserAgents) == 0 {
		h.UserAgents = []string{"*snom*"}
	}
	orDefault(&h.Key, "2")
	orDefault(&h.Press, "432")
	orDefault(&h.Action, "invite")
	orDefault(&h.Label, "Light is {light}")
	orDefault(&h.From, "sip:server@{sip.local.host}")
	if h.Status == 0 {
		h.Status = 404
		orDefault(&h.Reason, "Not a call")
	}
	if len(h.Lights) == 0 {
		for i, name := range [...]string{"on", "off", "hold", "park", "pickup", "message", "offline", "seized", "record", "error"} {
			h.Lights = append(h.Lights, Light{Number: fmt.Sprint(431 + i), Light: name})
		}
	}
	h.lights = make(map[string]*light, len(h.Lights))
	if err := module.ReplaceGlobalInPatterns(h.UserAgents); err != nil {
		return fmt.Errorf("user_agent: %w", err)
	}
	for _, l := range h.Lights {
		if l.Number, err = module.ReplaceGlobal(l.Number); err != nil {
			return fmt.Errorf("light: %w", err)
		}
		if l.Number == "" || l.Light == "" {
			return errors.New("each of the lights needs a number and a light")
		}
		if h.lights[l.Number] != nil {
			return fmt.Errorf("light %s is given twice", l.Number)
		}
		made := &light{Light: l}
		b := h.button(&l, func(s string) string { return s })
		if err := b.Validate(); err != nil {
			return fmt.Errorf("light %s: %w", l.Number, err)
		}
		if !strings.Contains(b.Key+b.Number+b.Label, "{") {
			if made.body, err = buttons.AppendDocument(nil, b); err != nil {
				return fmt.Errorf("light %s: %w", l.Number, err)
			}
		}
		h.lights[l.Number] = made
	}
	return nil
}

// Validate checks the rest.
func (h *SnomLRC) Validate() error {
	if h.Status < 300 || h.Status > 699 {
		return fmt.Errorf("respond %d: the caller must get a final response other than 2xx, 300 to 699", h.Status)
	}
	if strings.ContainsAny(h.Reason, "\r\n") {
		return errors.New("respond: the reason must be one line")
	}
	if !strings.Contains(h.From, "{") {
		if _, err := module.ParseURI(h.From); err != nil {
			return fmt.Errorf("from: %w", err)
		}
	}
	return nil
}

// button returns what a light sets the key to.
func (h *SnomLRC) button(l *Light, replace func(string) string) buttons.Button {
	return buttons.Button{
		Key:    replace(h.Key),
		Light:  l.Light,
		Color:  l.Color,
		Number: replace(h.Press),
		Action: h.Action,
		Label:  replace(strings.ReplaceAll(h.Label, "{light}", l.Light)),
	}
}

// ServeSIP implements module.Handler.
func (h *SnomLRC) ServeSIP(w module.ResponseWriter, r *module.Request, next module.Next) error {
	m := r.Message()
	if m.Method != wire.INVITE || w.Status() != 0 || r.InDialog() {
		return next(w, r)
	}
	var number [64]byte
	l := h.lights[string(wire.AppendUnescaped(number[:0], r.URI().User))]
	if l == nil || !r.MatchesAny(h.UserAgents, m.Header(wire.UserAgent), true) {
		return next(w, r)
	}
	caller := h.caller(r)
	managed := h.managed(caller)
	if managed != nil {
		// So that the answer doesn't wait for the end of the batch while another goroutine already
		// sets the key.
		r.Keep()
	}
	// The caller is answered first: what follows may fail, the call is over all the same.
	if err := module.Respond(w, h.Status, r.Replace(h.Reason)); err != nil {
		return err
	}
	if !r.Retransmission() && !h.setRecord(r, l, caller, managed) {
		h.push(r, l, caller)
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner = (*SnomLRC)(nil)
	_ caddy.Validator   = (*SnomLRC)(nil)
	_ module.Handler    = (*SnomLRC)(nil)
)
