package admin

import (
	"context"
	"net/http"
	"regexp"
	"time"

	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/wire"
)

// message is a SIP request that is to be sent to a user's phones.
type message struct {
	AOR         string `json:"aor"`
	Method      string `json:"method"`
	Event       string `json:"event"`
	ContentType string `json:"content_type"`
	Body        string `json:"body"`
}

// answered is what became of a message to a phone.
type answered struct {
	Contact   string `json:"contact"`
	Source    string `json:"source"`
	UserAgent string `json:"user_agent,omitempty"`
	Status    int    `json:"status,omitempty"`
	Reason    string `json:"reason,omitempty"`
	Error     string `json:"error,omitempty"`
}

const (
	maxMessageBody = 32 << 10         // bytes of a body
	messageWait    = 10 * time.Second // for the answers
)

// RFC 6665 §8.4 and RFC 3261 §25.1. The parameters may be anything that ends no line.
var (
	eventPattern = regexp.MustCompile(
		"^[0-9A-Za-z!%*_+`'~-]+(\\.[0-9A-Za-z!%*_+`'~-]+)*([;=][ -~]*)?$")
	typePattern = regexp.MustCompile(
		"^[0-9A-Za-z.!%*_+`'~-]+/[0-9A-Za-z.!%*_+`'~-]+(;[ -~]*)?$")
)

// POST /sip/messages[?wait=] {"aor": "101", "method": "MESSAGE", "body": "…"}
func postMessage(a *api, w http.ResponseWriter, r *http.Request) error {
	query, err := readQuery(r, "wait")
	if err != nil {
		return err
	}
	wait := messageWait
	if query.Has("wait") {
		if wait, err = parseWait(query.Get("wait")); err != nil {
			return err
		}
	}
	var m message
	if err := readJSON(w, r, &m); err != nil {
		return err
	}
	aor, err := a.parseAOR(m.AOR)
	if err != nil {
		return err
	}
	o, err := m.request()
	if err != nil {
		return err
	}
	phones := a.app.Bindings(aor)
	if len(phones) == 0 {
		return notRegistered(aor)
	}
	allowWait(w)
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	result := struct {
		AOR    string     `json:"aor"`
		Phones []answered `json:"phones"`
	}{AOR: aor}
	for _, answer := range a.app.Send(ctx, phones, o) {
		b := &answer.Binding
		p := answered{
			Contact:   string(wire.WithoutPassword([]byte(b.Contact))),
			Source:    b.Source.String(),
			UserAgent: b.UserAgent,
			Status:    answer.Status,
			Reason:    answer.Reason,
		}
		if answer.Err != nil {
			p.Error = answer.Err.Error()
		}
		result.Phones = append(result.Phones, p)
	}
	return writeJSON(w, http.StatusOK, result)
}

// request checks what is to be sent.
func (m *message) request() (*module.OutOfDialog, error) {
	o := &module.OutOfDialog{
		Method:      m.Method,
		Event:       m.Event,
		ContentType: m.ContentType,
		Body:        []byte(m.Body),
	}
	if o.Method == "" {
		o.Method = "MESSAGE"
	}
	if o.ContentType == "" && m.Body != "" {
		o.ContentType = "text/plain"
	}
	switch {
	case o.Method != "MESSAGE" && o.Method != "NOTIFY":
		return nil, badRequest("method: %q must be MESSAGE or NOTIFY", m.Method)
	case o.Method == "MESSAGE" && m.Event != "":
		return nil, badRequest("event: a MESSAGE has none")
	case o.Method == "MESSAGE" && m.Body == "":
		return nil, badRequest("body: a MESSAGE must have one")
	case o.Method == "NOTIFY" && !eventPattern.MatchString(m.Event):
		return nil, badRequest("event: %q must be the name of an event package, "+
			"with its parameters, such as check-sync;reboot=false", m.Event)
	case o.ContentType != "" && !typePattern.MatchString(o.ContentType):
		return nil, badRequest("content_type: %q must be a media type such as text/plain",
			m.ContentType)
	case len(m.Body) > maxMessageBody:
		return nil, badRequest("body: it has %d bytes, %d are possible",
			len(m.Body), maxMessageBody)
	}
	return o, nil
}
