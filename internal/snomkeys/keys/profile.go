package keys

import (
	"maps"
	"slices"
	"strings"

	"github.com/caddysip/caddysip/internal/glob"
	"github.com/caddysip/caddysip/internal/snomkeys/snom"
	"github.com/caddysip/caddysip/wire"
)

// ProfileConfig is a profile: keys that the configuration gives to users and phones. It applies to
// a phone that meets all its conditions; one without conditions applies to everybody.
type ProfileConfig struct {
	Name string

	// Users are globs on the user part of an address-of-record, and those with an @ on all of it;
	// Members are users, or
	// addresses-of-record if they contain an @. If there are any of either, one must match.
	// HasMembers says that the profile has a list of members, even if it is empty at the moment.
	Users      []string
	Members    map[string]struct{}
	HasMembers bool

	UserAgents []string // globs on the User-Agent, whatever the case; one must match, if there are any
	Models     []string // the same for the model, as snom.SameModel compares them

	Keys []ProfileKey
}

// ProfileKey is a key of a profile: a Record, field by field, so that what a configuration says of
// a key can be converted to it.
type ProfileKey struct {
	Key    int
	Light  string
	Color  string
	Label  string
	Number string
	Action string
	Locked bool // users can't change it
}

// Record returns what the key shows and does.
func (k ProfileKey) Record() Record {
	return Record{
		Key:    k.Key,
		Light:  k.Light,
		Color:  k.Color,
		Label:  k.Label,
		Number: k.Number,
		Action: k.Action,
	}
}

// Variables are the names that can stand in braces in the label and the number of a profile's key,
// for properties of the user or the phone.
var Variables = []string{"user", "domain", "model"}

// recordFor returns what the key shows and does on a user's phone.
func (k *ProfileKey) recordFor(aor string, phone *Phone) Record {
	r := k.Record()
	if strings.IndexByte(r.Label, '{') < 0 && strings.IndexByte(r.Number, '{') < 0 {
		return r
	}
	at := max(strings.LastIndexByte(aor, '@'), 0)
	values := strings.NewReplacer(
		"{user}", aor[:at],
		"{domain}", aor[min(at+1, len(aor)):],
		"{model}", phone.Model,
	)
	r.Label = wire.Printable(values.Replace(r.Label), MaxText) // a user may have any character
	r.Number = wire.Printable(values.Replace(r.Number), MaxText)
	return r
}

// Phone is what profiles can be matched against of a phone.
type Phone struct {
	UserAgent string
	Model     string // empty: no Snom, or it does not say
}

// PhoneOf returns the Phone with a User-Agent.
func PhoneOf(userAgent string) Phone {
	agent, _ := snom.ParseUserAgent(userAgent)
	return Phone{UserAgent: userAgent, Model: agent.Model}
}

// matchesUser reports whether the profile may apply to a user, whatever his phone.
func (p *ProfileConfig) matchesUser(aor string) bool {
	if len(p.Users) == 0 && !p.HasMembers {
		return true
	}
	user := aor[:max(strings.LastIndexByte(aor, '@'), 0)]
	if _, ok := p.Members[user]; ok {
		return true
	}
	if _, ok := p.Members[aor]; ok {
		return true
	}
	for _, pattern := range p.Users {
		text := user
		if strings.IndexByte(pattern, '@') >= 0 {
			text = aor
		}
		if glob.Match(pattern, []byte(text), false) {
			return true
		}
	}
	return false
}

// matches reports whether the profile applies to a user's phone.
func (p *ProfileConfig) matches(aor string, phone *Phone) bool {
	return p.matchesUser(aor) &&
		(len(p.UserAgents) == 0 || matchesGlob(p.UserAgents, phone.UserAgent, true)) &&
		(len(p.Models) == 0 || p.matchesModel(phone.Model))
}

func (p *ProfileConfig) matchesModel(model string) bool {
	for _, m := range p.Models {
		if snom.SameModel(m, model) {
			return true
		}
	}
	return false
}

func matchesGlob(patterns []string, text string, fold bool) bool {
	for _, pattern := range patterns {
		if glob.Match(pattern, []byte(text), fold) {
			return true
		}
	}
	return false
}

// equal reports whether two profiles say the same, whatever their names.
func (p *ProfileConfig) equal(q *ProfileConfig) bool {
	return p.equalButMembers(q) && maps.Equal(p.Members, q.Members)
}

func (p *ProfileConfig) equalButMembers(q *ProfileConfig) bool {
	return p.HasMembers == q.HasMembers && slices.Equal(p.Users, q.Users) && slices.Equal(p.UserAgents, q.UserAgents) &&
		slices.Equal(p.Models, q.Models) &&
		slices.Equal(p.Keys, q.Keys)
}
