package admin

import (
	"net/http"
	"time"

	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/snomkeys/snom"
	"github.com/caddysip/caddysip/wire"
)

// registration is an address-of-record with its bindings, in the API.
type registration struct {
	AOR      string    `json:"aor"`
	Bindings []binding `json:"bindings"`

	// Old contacts of the user's phones, which have registered other ones since.
	Superseded []binding `json:"superseded,omitempty"`
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

func (a *api) describeRegistration(aor string, bindings []*location.Binding) registration {
	reg := registration{AOR: aor, Bindings: make([]binding, 0, len(bindings))}
	for _, b := range bindings {
		if b.Superseded() {
			reg.Superseded = append(reg.Superseded, a.describeBinding(b))
		} else {
			reg.Bindings = append(reg.Bindings, a.describeBinding(b))
		}
	}
	return reg
}

func (a *api) describeBinding(b *location.Binding) binding {
	agent, _ := snom.ParseUserAgent(b.UserAgent())
	return binding{
		Contact:   string(wire.WithoutPassword([]byte(b.Contact()))),
		Source:    b.Source().String(),
		Transport: b.Network().String(),
		UserAgent: b.UserAgent(),
		Model:     agent.Model,
		Since:     a.location.WallTime(b.Registered()).UTC(),
		Expires:   a.location.WallTime(b.Expires()).UTC(),
	}
}

// GET /sip/registrations[?aor=&limit=&after=]
func listRegistrations(a *api, w http.ResponseWriter, r *http.Request) error {
	p, err := readPage(r, "aor")
	if err != nil {
		return err
	}
	list := []registration{}
	if p.query.Has("aor") {
		aor, err := a.parseAOR(p.query.Get("aor"))
		if err != nil {
			return err
		}
		if bindings := a.lookup(aor); bindings != nil && aor > p.after {
			list = append(list, a.describeRegistration(aor, bindings))
		}
		return writeJSON(w, http.StatusOK, list)
	}
	n, last := 0, ""
	a.location.Range(p.after, p.limit+1, func(aor string, bindings []*location.Binding) bool {
		if n++; n > p.limit {
			p.next(w, r, last)
			return false
		}
		if last = aor; !bindings[0].Superseded() {
			list = append(list, a.describeRegistration(aor, bindings))
		}
		return true
	})
	return writeJSON(w, http.StatusOK, list)
}

// GET /sip/registrations/{aor}
func getRegistration(a *api, w http.ResponseWriter, r *http.Request) error {
	aor, err := a.parseAOR(r.PathValue("aor"))
	if err != nil {
		return err
	}
	bindings := a.lookup(aor)
	if bindings == nil {
		return notRegistered(aor)
	}
	return writeJSON(w, http.StatusOK, a.describeRegistration(aor, bindings))
}

// DELETE /sip/registrations/{aor}
func deleteRegistration(a *api, w http.ResponseWriter, r *http.Request) error {
	aor, err := a.parseAOR(r.PathValue("aor"))
	if err != nil {
		return err
	}
	if len(a.location.Remove([]byte(aor), nil)) == 0 {
		return notRegistered(aor)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func notRegistered(aor string) error {
	return errorf(http.StatusNotFound, "%s is not registered", aor)
}
