package admin

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/snomkeys/delivery"
)

// device is a phone in the API.
type device struct {
	AOR       string    `json:"aor"`
	Contact   string    `json:"contact"`
	Source    string    `json:"source"`
	Transport string    `json:"transport"`
	UserAgent string    `json:"user_agent,omitempty"`
	Model     string    `json:"model,omitempty"`
	Firmware  string    `json:"firmware,omitempty"`
	Since     time.Time `json:"since"`
	Expires   time.Time `json:"expires"`
	State     string    `json:"state"`
	Wanted    int       `json:"wanted"`               // keys that it should show
	Shown     int       `json:"shown"`                // those of them that it has acknowledged
	Refused   int       `json:"refused"`              // keys that it has refused
	LastError string    `json:"last_error,omitempty"` // why a key is not as it should be
}

func (a *api) describeDevice(aor string, s *delivery.PhoneStatus) device {
	d := device{
		AOR:       aor,
		Contact:   s.Contact,
		Source:    s.Source,
		Transport: s.Binding.Network().String(),
		UserAgent: s.UserAgent,
		Model:     s.Model,
		Firmware:  s.Firmware,
		Since:     a.location.WallTime(s.Binding.Registered()).UTC(),
		Expires:   a.location.WallTime(s.Binding.Expires()).UTC(),
		State:     s.State,
	}
	for i := range s.Keys {
		k := &s.Keys[i]
		switch {
		case k.Wanted && k.Acknowledged:
			d.Shown++
		case k.Refused:
			d.Refused++
		}
		if k.Wanted {
			d.Wanted++
		}
		if d.LastError == "" {
			d.LastError = k.Error
		}
	}
	return d
}

// stateRegistered is every state but unreachable.
const stateRegistered = "registered"

// GET /sip/phones[?state=&aor=&limit=&after=]
func listPhones(a *api, w http.ResponseWriter, r *http.Request) error {
	p, err := readPage(r, "state", "aor")
	if err != nil {
		return err
	}
	state, after, last := p.query.Get("state"), "", ""
	states := append(delivery.States(), stateRegistered)
	if p.query.Has("state") && !slices.Contains(states, state) {
		return badRequest("state: %q must be one of %s", state, strings.Join(states, ", "))
	}
	// A page may end between the phones of a user. The next one is then after "user@domain
	// contact".
	if i := strings.LastIndexByte(p.after, ' '); i >= 0 && strings.Contains(p.after[:i], "@") {
		after, last = p.after[:i], p.after[i+1:]
	} else {
		after = p.after
	}
	list, more := []device{}, false
	add := func(aor string) bool {
		for _, d := range a.devices(aor, state) {
			if aor == after && d.Contact <= last {
				continue
			}
			if more = len(list) == p.limit; more {
				return false
			}
			list = append(list, d)
		}
		return true
	}
	switch {
	case p.query.Has("aor"):
		aor, err := a.parseAOR(p.query.Get("aor"))
		if err != nil {
			return err
		}
		add(aor)
	case last == "" || add(after):
		a.location.Range(after, 0, func(aor string, _ []*location.Binding) bool { return add(aor) })
	}
	if more {
		end := &list[len(list)-1]
		p.next(w, r, end.AOR+" "+end.Contact)
	}
	return writeJSON(w, http.StatusOK, list)
}

// devices returns the phones of a user that are in a state, empty: in any, by their Contacts.
func (a *api) devices(aor, state string) []device {
	all := a.delivery.Status(aor)
	slices.SortFunc(all, func(a, b delivery.PhoneStatus) int {
		return strings.Compare(a.Contact, b.Contact)
	})
	list := make([]device, 0, len(all))
	for i := range all {
		s := &all[i]
		registered := s.State != delivery.StateUnreachable
		if state == "" || state == s.State || state == stateRegistered && registered {
			list = append(list, a.describeDevice(aor, s))
		}
	}
	return list
}
