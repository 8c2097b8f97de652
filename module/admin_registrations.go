package module

import (
	"net/http"
	"strings"
	"time"

	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/snomkeys/snom"
	"github.com/caddysip/caddysip/wire"
)

// registration is an address-of-record with its bindings, in the API.
type registration struct {
	AOR      string    `json:"aor"`
	Bindings []binding `json:"bindings"`
}

type binding struct {
	Contact   string    `json:"contact"`
	Source    string    `json:"source"`
	Transport string    `json:"transport"`
	UserAgent string    `json:"user_agent,omitempty"`
	Model     string    `json:"model,omitempty"`
	Since     time.Time `json:"since"`
	Expires   time.Time `json:"expires"`
}

func describeRegistration(aor string, bindings []*location.Binding) registration {
	reg := registration{AOR: aor, Bindings: make([]binding, len(bindings))}
	for i, b := range bindings {
		reg.Bindings[i] = describeBinding(b)
	}
	return reg
}

func describeBinding(b *location.Binding) binding {
	agent, _ := snom.ParseUserAgent(b.UserAgent())
	return binding{
		Contact:   string(wire.WithoutPassword([]byte(b.Contact()))),
		Source:    b.Source().String(),
		Transport: b.Network().String(),
		UserAgent: b.UserAgent(),
		Model:     agent.Model,
		Since:     b.Registered().UTC(),
		Expires:   b.Expires().UTC(),
	}
}

// parseAOR reads user or user@domain as registrations have it. A user alone is one of the first domain.
func (a *App) parseAOR(text string) ([]byte, error) {
	aor, _, err := a.readAOR(text)
	return aor, err
}

// ownAOR reads the address-of-record of one of our users, registered or not.
func (a *App) ownAOR(text string) (string, error) {
	aor, own, err := a.readAOR(text)
	if err == nil && !own {
		err = adminError(http.StatusBadRequest, "aor: %q is not of a domain that this server serves", text)
	}
	return string(aor), err
}

func (a *App) readAOR(text string) (aor []byte, own bool, err error) {
	user, host := text, a.domains.primary
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		user, host = text[:at], text[at+1:]
	}
	u, err := wire.ParseURI([]byte("sip:" + escapeUser(user) + "@" + host))
	if err != nil || user == "" || u.Params != nil || u.Headers != nil {
		return nil, false, adminError(http.StatusBadRequest, "aor: %q is no address-of-record: it is user or user@domain", text)
	}
	if aor, own = a.AppendAOR(nil, &u); !own {
		aor = u.AppendAOR(nil) // of a domain that was served once
	}
	return aor, own || strings.EqualFold(host, a.domains.primary), nil
}

// GET /sip/registrations[?aor=&limit=&after=]
func listRegistrations(app *App, w http.ResponseWriter, r *http.Request) error {
	p, err := readPage(r, "aor")
	if err != nil {
		return err
	}
	list := []registration{}
	if p.query.Has("aor") {
		aor, err := app.parseAOR(p.query.Get("aor"))
		if err != nil {
			return err
		}
		if bindings := app.engine.Location.Lookup(aor, nil); len(bindings) > 0 && string(aor) > p.after {
			list = append(list, describeRegistration(string(aor), bindings))
		}
		return writeAdmin(w, http.StatusOK, list)
	}
	more := false
	app.engine.Location.Range(p.after, p.limit+1, func(aor string, bindings []*location.Binding) bool {
		if more = len(list) == p.limit; !more {
			list = append(list, describeRegistration(aor, bindings))
		}
		return !more
	})
	if more {
		p.next(w, r, list[len(list)-1].AOR)
	}
	return writeAdmin(w, http.StatusOK, list)
}

// GET /sip/registrations/{aor}
func getRegistration(app *App, w http.ResponseWriter, r *http.Request) error {
	aor, err := app.parseAOR(r.PathValue("aor"))
	if err != nil {
		return err
	}
	bindings := app.engine.Location.Lookup(aor, nil)
	if len(bindings) == 0 {
		return notRegistered(aor)
	}
	return writeAdmin(w, http.StatusOK, describeRegistration(string(aor), bindings))
}

// DELETE /sip/registrations/{aor}
func deleteRegistration(app *App, w http.ResponseWriter, r *http.Request) error {
	aor, err := app.parseAOR(r.PathValue("aor"))
	if err != nil {
		return err
	}
	if len(app.engine.Location.Remove(aor, nil)) == 0 {
		return notRegistered(aor)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func notRegistered(aor []byte) error {
	return adminError(http.StatusNotFound, "%s is not registered", aor)
}
