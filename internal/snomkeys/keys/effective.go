package keys

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddysip/caddysip/internal/snomkeys/snom"
)

// Effective is what a phone's key should show.
type Effective struct {
	Record
	Layer    Layer     `json:"layer"`              // which says so
	Locked   bool      `json:"locked,omitempty"`   // what the user layer says about the key does not show
	Expires  time.Time `json:"expires,omitzero"`   // when it ends by itself; the zero time: never
	Warnings []string  `json:"warnings,omitempty"` // why the phone may not show it
}

// Effective returns what the keys of a user's phone should show, by key. It reads nothing but
// memory.
func (s *Store) Effective(aor string, phone Phone) []Effective {
	profiles := s.profiles.Load()
	records := s.get(aor).live(s.clock.Now())
	profiles.each(aor, &phone, func(r Stored) { records = append(records, r) })
	if len(records) == 0 {
		return nil
	}
	slices.SortFunc(records, func(a, b Stored) int {
		return cmp.Or(a.Key-b.Key, b.rank()-a.rank())
	})
	model, known := profiles.models.Lookup(phone.Model)
	list := make([]Effective, 0, len(records))
	for i := range records {
		r := &records[i]
		if n := len(list); n > 0 && list[n-1].Key == r.Key {
			list[n-1].Locked = list[n-1].Locked || r.Locked
			continue
		}
		e := Effective{
			Record: r.Record, Layer: r.Layer, Locked: r.Locked, Expires: s.clock.ToWall(r.Expires),
		}
		if known {
			e.Warnings = warnings(&e.Record, &model)
		}
		list = append(list, e)
	}
	return list
}

// warnings returns why a phone of a model may not show a record.
func warnings(r *Record, model *snom.Model) (list []string) {
	if r.Key > model.Keys {
		list = append(list, fmt.Sprintf("the %s has %d keys", model.Name, model.Keys))
	}
	if r.Color != "" && r.Color != "local" && r.Color != "remote" && len(model.Colors) > 0 &&
		!slices.Contains(model.Colors, r.Color) {
		list = append(
			list,
			fmt.Sprintf("the lamps of the %s are %s", model.Name, strings.Join(model.Colors, ", ")),
		)
	}
	return list
}

// profiles are the profiles and models of the configuration in force.
type profiles struct {
	list   []ProfileConfig
	models snom.Models
}

// each calls f with what the profiles say about the keys of a user's phone. If several say
// something about a key, the first counts.
func (p *profiles) each(aor string, phone *Phone, f func(Stored)) {
	var said [MaxKey/64 + 1]uint64
	for i := range p.list {
		profile := &p.list[i]
		if !profile.matches(aor, phone) {
			continue
		}
		for i := range profile.Keys {
			k := &profile.Keys[i]
			bit := uint64(1) << (k.Key % 64)
			if said[k.Key/64]&bit != 0 {
				continue
			}
			said[k.Key/64] |= bit
			f(Stored{Record: k.recordFor(aor, phone), Layer: Profile, Locked: k.Locked})
		}
	}
}

// Names reports whether a profile names a user: as a member, or in its users without a wildcard.
func (s *Store) Names(aor string) bool {
	user := aor[:max(strings.LastIndexByte(aor, '@'), 0)]
	list := s.profiles.Load().list
	for i := range list {
		p := &list[i]
		_, byUser := p.Members[user]
		_, byAOR := p.Members[aor]
		if byUser || byAOR || slices.Contains(p.Users, user) || slices.Contains(p.Users, aor) {
			return true
		}
	}
	return false
}

// SetProfiles replaces the profiles, and the models of phones known besides the built-in ones.
// OnChange is called for the registered addresses-of-record that the difference may touch. The
// arguments must be valid and must not be changed afterwards.
func (s *Store) SetProfiles(list []ProfileConfig, models snom.Models) {
	before := s.profiles.Swap(&profiles{list, models})
	changed := difference(before.list, list)
	if len(changed) == 0 || s.options.OnChange == nil || s.options.Registered == nil {
		return
	}
	s.options.Registered(func(aor string) {
		for _, p := range changed {
			if p.matchesUser(aor) {
				s.options.OnChange(aor)
				return
			}
		}
	})
}

// difference returns profiles that together apply to every user for whom the lists differ. Equal
// profiles at the beginning and at the end of both lists do not count.
func difference(before, after []ProfileConfig) (list []*ProfileConfig) {
	for len(before) > 0 && len(after) > 0 && before[0].equal(&after[0]) {
		before, after = before[1:], after[1:]
	}
	for len(before) > 0 && len(after) > 0 && before[len(before)-1].equal(&after[len(after)-1]) {
		before, after = before[:len(before)-1], after[:len(after)-1]
	}
	if len(before) == 1 && len(after) == 1 && before[0].equalButMembers(&after[0]) {
		return []*ProfileConfig{
			{HasMembers: true, Members: movedMembers(before[0].Members, after[0].Members)},
		}
	}
	for _, profiles := range [][]ProfileConfig{before, after} {
		for i := range profiles {
			list = append(list, &profiles[i])
		}
	}
	return list
}

// movedMembers returns the members that only one of two sets has.
func movedMembers(before, after map[string]struct{}) map[string]struct{} {
	moved := make(map[string]struct{})
	for _, sets := range [][2]map[string]struct{}{{before, after}, {after, before}} {
		for name := range sets[0] {
			if _, ok := sets[1][name]; !ok {
				moved[name] = struct{}{}
			}
		}
	}
	return moved
}
