package keys

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/internal/snomkeys/snom"
	"github.com/caddysip/caddysip/internal/store"
)

func TestLayers(t *testing.T) {
	const P, A, U, E = Profile, Admin, User, Event
	type said struct {
		layer  Layer
		locked bool
	}
	for _, tc := range []struct {
		name   string
		said   []said
		shows  Layer
		locked bool
	}{
		{"the profile", []said{{P, false}}, P, false},
		{"admin over profile", []said{{P, false}, {A, false}}, A, false},
		{"user over admin", []said{{P, false}, {A, false}, {U, false}}, U, false},
		{"event over all", []said{{P, false}, {A, false}, {U, false}, {E, false}}, E, false},
		{"user over profile", []said{{P, false}, {U, false}}, U, false},
		{"a locked profile over the user", []said{{P, true}, {U, false}}, P, true},
		{"a locked profile over admin and user", []said{{P, true}, {A, false}, {U, false}}, P, true},
		{"a locked profile over admin", []said{{P, true}, {A, false}}, P, true},
		{"locked admin over the user", []said{{P, false}, {A, true}, {U, false}}, A, true},
		{"locked admin over a locked profile", []said{{P, true}, {A, true}, {U, false}}, A, true},
		{"event over a locked profile", []said{{P, true}, {U, false}, {E, false}}, E, true},
		{"event over locked admin", []said{{A, true}, {U, false}, {E, false}}, E, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, _ := start(t, nil)
			for _, l := range tc.said {
				if l.layer == Profile {
					s.SetProfiles([]ProfileConfig{{Keys: []ProfileKey{{Key: 2, Light: "on", Label: "profile", Locked: l.locked}}}}, nil)
					continue
				}
				mustApply(t, s, Change{AOR: alice, Layer: l.layer, Record: label(2, l.layer.String()), Locked: l.locked})
			}
			want := []Effective{{Record: *label(2, tc.shows.String()), Layer: tc.shows, Locked: tc.locked}}
			if got := s.Effective(alice, Phone{}); !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v\nwant %+v", got, want)
			}
			for _, l := range tc.said {
				if got := s.Layer(alice, l.layer); len(got) != 1 || got[0].Label != l.layer.String() || got[0].Locked != l.locked {
					t.Errorf("the %s layer says %+v", l.layer, got)
				}
			}
		})
	}
}

// What lies below shows again when a layer lets go.
func TestLettingGo(t *testing.T) {
	s, told := start(t, store.NewMemory())
	mustApply(t, s,
		Change{AOR: alice, Layer: Admin, Record: label(1, "admin")},
		Change{AOR: alice, Layer: User, Record: label(1, "user")},
		Change{AOR: alice, Layer: Event, Record: label(1, "event")},
		Change{AOR: alice, Layer: Event, Record: label(7, "other")},
	)
	shows(t, s, alice, map[int]string{1: "event", 7: "other"})
	mustApply(t, s, Change{AOR: alice, Layer: Event, Key: 1})
	shows(t, s, alice, map[int]string{1: "user", 7: "other"})
	mustApply(t, s, Change{AOR: alice, Layer: User, Replace: true})
	shows(t, s, alice, map[int]string{1: "admin", 7: "other"})
	mustApply(t, s, Change{AOR: alice, Layer: Admin, Replace: true, Record: label(2, "new")}, Change{AOR: alice, Layer: Admin, Record: label(3, "more")})
	shows(t, s, alice, map[int]string{2: "new", 3: "more", 7: "other"})
	if got := told.take(); !slices.Equal(got, []string{alice, alice, alice, alice}) {
		t.Errorf("told of %v", got)
	}
	mustApply(t, s, Change{AOR: alice, Layer: User, Key: 5}, Change{AOR: bob, Layer: Admin, Replace: true}, Change{AOR: alice, Layer: Admin, Record: label(2, "new")})
	if got := told.take(); got != nil {
		t.Errorf("nothing has changed, but told of %v", got)
	}
	mustApply(t, s, Change{AOR: alice, Layer: Admin, Replace: true}, Change{AOR: alice, Layer: Event, Replace: true})
	if got := s.AORs("", 0); got != nil || s.Len() != 0 || s.Effective(alice, Phone{}) != nil {
		t.Errorf("there is still something of %v", got)
	}
}

func TestRefused(t *testing.T) {
	for _, tc := range []struct {
		name, field string
		change      Change
	}{
		{"no address-of-record", "aor", Change{Layer: Admin, Record: label(1, "")}},
		{"a long one", "aor", Change{AOR: strings.Repeat("a", 1025), Layer: Admin, Record: label(1, "")}},
		{"the profile layer", "layer", Change{AOR: alice, Layer: Profile, Record: label(1, "")}},
		{"a layer that is none", "layer", Change{AOR: alice, Layer: 4, Record: label(1, "")}},
		{"a locked user", "locked", Change{AOR: alice, Layer: User, Locked: true, Record: label(1, "")}},
		{"a locked event", "locked", Change{AOR: alice, Layer: Event, Locked: true, Record: label(1, "")}},
		{"a volatile user", "volatile", Change{AOR: alice, Layer: User, Volatile: true, Record: label(1, "")}},
		{"a negative ttl", "ttl", Change{AOR: alice, Layer: User, TTL: -1, Record: label(1, "")}},
		{"two keys", "key", Change{AOR: alice, Layer: User, Key: 2, Record: label(1, "")}},
		{"nothing", "key", Change{AOR: alice, Layer: User}},
		{"key 0", "key", Change{AOR: alice, Layer: User, Record: label(0, "")}},
		{"key 1000", "key", Change{AOR: alice, Layer: User, Key: 1000}},
		{"a light that is none", "light", Change{AOR: alice, Layer: User, Record: &Record{Key: 1, Light: "blue"}}},
		{"a colour that is none", "color", Change{AOR: alice, Layer: User, Record: &Record{Key: 1, Color: "Red"}}},
		{"an action that is none", "action", Change{AOR: alice, Layer: User, Record: &Record{Key: 1, Action: "call"}}},
		{"CRLF in the label", "label", Change{AOR: alice, Layer: User, Record: label(1, "a\r\nn=666")}},
		{"a tab in the number", "number", Change{AOR: alice, Layer: User, Record: &Record{Key: 1, Number: "1\t2"}}},
		{"a label that is not UTF-8", "label", Change{AOR: alice, Layer: User, Record: label(1, "\xff")}},
		{"a long label", "label", Change{AOR: alice, Layer: User, Record: label(1, strings.Repeat("ä", 128))}},
		{"a long number", "number", Change{AOR: alice, Layer: User, Record: &Record{Key: 1, Number: strings.Repeat("1", 256)}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, told := start(t, nil)
			err := s.Apply(context.Background(), []Change{{AOR: bob, Layer: Admin, Record: label(1, "good")}, tc.change})
			var change *ChangeError
			var field *FieldError
			if !errors.As(err, &change) || change.Index != 1 || change.AOR != tc.change.AOR || !errors.As(err, &field) || field.Field != tc.field {
				t.Errorf("got the error %v", err)
			}
			if s.Len() != 0 || told.take() != nil {
				t.Error("a half was made")
			}
		})
	}
}

func TestRevision(t *testing.T) {
	m := closing(t, store.NewMemory())
	s, _ := start(t, m)
	none := s.Revision(alice)
	mustApply(t, s, Change{AOR: alice, Layer: Admin, Record: label(1, "a"), Expect: none}, Change{AOR: alice, Layer: Admin, Record: label(2, "b"), Expect: none})
	first := s.Revision(alice)
	if first == none || s.Revision(bob) != none {
		t.Fatalf("revisions %s, %s, %s", none, first, s.Revision(bob))
	}
	changes := []Change{{AOR: bob, Layer: Admin, Record: label(1, "x")}, {AOR: alice, Layer: User, Record: label(1, "y"), Expect: none}}
	err := s.Apply(context.Background(), changes)
	if change := new(ChangeError); !errors.Is(err, ErrConflict) || !errors.As(err, &change) || change.Index != 1 {
		t.Errorf("got the error %v", err)
	}
	if s.Revision(alice) != first || s.Len() != 1 {
		t.Error("a half was made")
	}
	changes[1].Expect = first
	mustApply(t, s, changes...)
	second := s.Revision(alice)
	if again, _ := start(t, m); second == first || again.Revision(alice) != second {
		t.Error("the revision is another one after a restart, or the same after a change")
	}
}

func TestTTL(t *testing.T) {
	for name, open := range engines {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := open(t)
				s, told := start(t, e)
				began := time.Now()
				mustApply(t, s,
					Change{AOR: alice, Layer: Admin, Record: label(1, "below")},
					Change{AOR: alice, Layer: Event, Record: label(1, "short"), TTL: 30 * time.Second},
					Change{AOR: alice, Layer: User, Record: label(2, "hours"), TTL: 2 * time.Hour},
					Change{AOR: bob, Layer: Event, Record: label(1, "minute"), TTL: time.Minute},
				)
				told.take()
				if got := s.Effective(alice, Phone{}); !got[0].Expires.Equal(began.Add(30*time.Second)) || !got[1].Expires.Equal(began.Add(2*time.Hour)) {
					t.Errorf("they end at %v and %v", got[0].Expires, got[1].Expires)
				}
				time.Sleep(30*time.Second - time.Millisecond)
				synctest.Wait()
				shows(t, s, alice, map[int]string{1: "short", 2: "hours"})
				if got := told.take(); got != nil {
					t.Errorf("told of %v too early", got)
				}
				before := s.Revision(alice)
				time.Sleep(time.Millisecond)
				synctest.Wait()
				shows(t, s, alice, map[int]string{1: "below", 2: "hours"})
				if got := told.take(); !slices.Equal(got, []string{alice}) || s.Revision(alice) == before {
					t.Errorf("told of %v, revision %s", got, s.Revision(alice))
				}

				// It goes on to count while the server is down.
				s.Close()
				time.Sleep(time.Hour)
				s, told = start(t, e)
				shows(t, s, alice, map[int]string{1: "below", 2: "hours"})
				shows(t, s, bob, map[int]string{})
				time.Sleep(time.Hour)
				synctest.Wait()
				shows(t, s, alice, map[int]string{1: "below"})
				if got := told.take(); !slices.Equal(got, []string{alice}) {
					t.Errorf("told of %v", got)
				}

				// What is set again ends later, or never.
				mustApply(t, s, Change{AOR: bob, Layer: Event, Record: label(1, "again"), TTL: time.Second}, Change{AOR: alice, Layer: User, Record: label(1, "too"), TTL: time.Second})
				mustApply(t, s, Change{AOR: bob, Layer: Event, Record: label(1, "again"), TTL: time.Minute}, Change{AOR: alice, Layer: User, Record: label(1, "too")})
				told.take()
				time.Sleep(time.Minute - time.Millisecond)
				synctest.Wait()
				shows(t, s, bob, map[int]string{1: "again"})
				if got := told.take(); got != nil {
					t.Errorf("told of %v", got)
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				shows(t, s, bob, map[int]string{})
				shows(t, s, alice, map[int]string{1: "too"})
				if got := s.AORs("", 0); !slices.Equal(got, []string{alice}) {
					t.Errorf("there are still %v", got)
				}
				s.Close()
				_ = e.Close()
			})
		})
	}
}

func TestProfiles(t *testing.T) {
	desk := ProfileConfig{Name: "desk", Users: []string{"1*", "reception"}, Keys: []ProfileKey{{Key: 1, Label: "desk"}, {Key: 2, Label: "desk", Locked: true}}}
	store := ProfileConfig{Name: "store", HasMembers: true, Members: map[string]struct{}{"101": {}, "301": {}, "302@example.org": {}},
		Keys: []ProfileKey{{Key: 1, Label: "store"}, {Key: 3, Label: "store"}}}
	model := ProfileConfig{Name: "model", UserAgents: []string{"SNOMD7*"}, Models: []string{"785", "D735"}, Keys: []ProfileKey{{Key: 4, Label: "model"}}}
	everybody := ProfileConfig{Name: "everybody", Keys: []ProfileKey{{Key: 9, Label: "all"}}}
	s, told := start(t, nil, "101@example.com", "reception@example.com", "301@example.org", "302@example.org", "302@example.com")
	s.SetProfiles([]ProfileConfig{desk, store, model, everybody}, nil)
	told.take()
	d785, s370 := PhoneOf("snomD785/10.1.33.33"), PhoneOf("snom370/8.7.5.48")
	for _, tc := range []struct {
		aor   string
		phone Phone
		want  map[int]string
	}{
		{"101@example.com", s370, map[int]string{1: "desk", 2: "desk", 3: "store", 9: "all"}}, // the first that says something
		{"101@example.com", d785, map[int]string{1: "desk", 2: "desk", 3: "store", 4: "model", 9: "all"}},
		{"reception@example.org", Phone{}, map[int]string{1: "desk", 2: "desk", 9: "all"}},
		{"Reception@example.org", Phone{}, map[int]string{9: "all"}},
		{"301@example.org", Phone{}, map[int]string{1: "store", 3: "store", 9: "all"}},
		{"302@example.org", PhoneOf("snomD735/8"), map[int]string{1: "store", 3: "store", 4: "model", 9: "all"}},
		{"302@example.com", PhoneOf("snomD765/8"), map[int]string{9: "all"}},
		{"302@example.com", PhoneOf("Yealink D785"), map[int]string{9: "all"}},
	} {
		got := make(map[int]string)
		for _, e := range s.Effective(tc.aor, tc.phone) {
			got[e.Key] = e.Label
			if e.Layer != Profile || e.Locked != (e.Key == 2) {
				t.Errorf("%s: %+v", tc.aor, e)
			}
		}
		if !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s with %v: got %v, want %v", tc.aor, tc.phone, got, tc.want)
		}
	}

	s.SetProfiles([]ProfileConfig{desk, store, model, everybody}, nil)
	if got := told.take(); got != nil {
		t.Errorf("nothing has changed, but told of %v", got)
	}
	moved := store
	moved.Members = map[string]struct{}{"302": {}}
	s.SetProfiles([]ProfileConfig{desk, moved, model, everybody}, nil)
	if got := told.take(); !slices.Equal(got, []string{"101@example.com", "301@example.org", "302@example.org", "302@example.com"}) {
		t.Errorf("told of %v", got)
	}
	shows(t, s, "302@example.com", map[int]string{1: "store", 3: "store", 9: "all"})
	shows(t, s, "301@example.org", map[int]string{9: "all"})
	more := moved
	more.Members = map[string]struct{}{"302": {}, "301": {}}
	s.SetProfiles([]ProfileConfig{{Users: []string{"reception"}}, desk, more, model, everybody}, nil)
	if got := told.take(); !slices.Contains(got, "301@example.org") || !slices.Contains(got, "reception@example.com") {
		t.Errorf("told of %v", got)
	}
	s.SetProfiles([]ProfileConfig{desk, more, model, everybody}, nil)
	if got := told.take(); !slices.Equal(got, []string{"reception@example.com"}) {
		t.Errorf("told of %v", got)
	}
	s.SetProfiles([]ProfileConfig{desk, moved, model, everybody}, nil)
	if got := told.take(); !slices.Equal(got, []string{"301@example.org"}) {
		t.Errorf("told of %v", got)
	}
	moved.Members = nil // an empty file is nobody, not everybody
	s.SetProfiles([]ProfileConfig{moved}, nil)
	shows(t, s, "302@example.com", map[int]string{})
}

func TestWarnings(t *testing.T) {
	s, _ := start(t, nil)
	mustApply(t, s, Change{AOR: alice, Layer: Admin, Record: &Record{Key: 13, Color: "green"}}, Change{AOR: alice, Layer: Admin, Record: &Record{Key: 12, Color: "local"}})
	for _, tc := range []struct {
		agent string
		want  []string
	}{
		{"snom370/8.7.5.48", []string{"the 370 has 12 keys", "the lamps of the 370 are orange"}},
		{"snomD785/10.1.33.33", nil},
		{"snomD999/10.1.33.33", nil}, // nothing is known of it
		{"Linphone", nil},
		{"", nil},
	} {
		got := s.Effective(alice, PhoneOf(tc.agent))
		if got[0].Warnings != nil || !slices.Equal(got[1].Warnings, tc.want) {
			t.Errorf("%s: %q", tc.agent, got[1].Warnings)
		}
	}
	s.SetProfiles(nil, snom.Models{{Name: "D999", Keys: 5, Colors: []string{"red"}}, {Name: "D370", Keys: 20, Colors: []string{"green"}}})
	if got := s.Effective(alice, PhoneOf("snom999/1")); !slices.Equal(got[0].Warnings, []string{"the 999 has 5 keys"}) || len(got[1].Warnings) != 2 {
		t.Errorf("got %q, %q", got[0].Warnings, got[1].Warnings)
	}
	if got := s.Effective(alice, PhoneOf("snom370/1")); got[1].Warnings != nil {
		t.Errorf("got %q", got[1].Warnings)
	}
}

func TestAORs(t *testing.T) {
	s, _ := start(t, nil)
	for _, user := range []string{"d", "a", "c", "b"} {
		mustApply(t, s, Change{AOR: user, Layer: Admin, Record: label(1, "x")})
	}
	if got := s.AORs("a", 2); !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("got %v", got)
	}
	if got := s.AORs("", 0); !slices.Equal(got, []string{"a", "b", "c", "d"}) {
		t.Errorf("got %v", got)
	}
}

// TestVariables checks the variables in a profile's texts, with any user name.
func TestVariables(t *testing.T) {
	k := ProfileKey{Key: 1, Label: "{user} at {domain}", Number: "*{user}{model}"}
	for _, tc := range []struct{ aor, model, label, number string }{
		{alice, "370", "alice at example.com", "*alice370"},
		{"a\r\nb@example.com", "", "a??b at example.com", "*a??b"},
		{"{model}@example.com", "370", "{model} at example.com", "*{model}370"},
		{strings.Repeat("x", 300) + "@example.com", "", strings.Repeat("x", 252) + "…",
			"*" + strings.Repeat("x", 251) + "…"},
	} {
		got := k.recordFor(tc.aor, &Phone{Model: tc.model})
		if got.Label != tc.label || got.Number != tc.number {
			t.Errorf("%.20q: %q, %q, want %q, %q", tc.aor, got.Label, got.Number, tc.label, tc.number)
		}
		if err := got.Validate(); err != nil {
			t.Errorf("%.20q: %v", tc.aor, err)
		}
	}
}

// TestChangedKeys checks that OnChange is told which keys have changed.
func TestChangedKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // a timer tells as well
		var told []string
		s := New(Options{OnChange: func(aor string, keys ...int) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, fmt.Sprint(aor, keys))
		}})
		defer s.Close()
		expect := func(want ...string) {
			t.Helper()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(told, want) {
				t.Errorf("told %q, not %q", told, want)
			}
			told = nil
		}
		set := func(aor string, l Layer, label string, ttl time.Duration, keys ...int) (list []Change) {
			for _, k := range keys {
				list = append(list, Change{AOR: aor, Layer: l, Record: &Record{Key: k, Label: label}, TTL: ttl})
			}
			return list
		}
		apply := func(list ...Change) {
			t.Helper()
			if err := s.Apply(t.Context(), list); err != nil {
				t.Fatal(err)
			}
		}
		apply(slices.Concat(set("a@b", Admin, "x", 0, 3, 1), set("c@b", User, "x", 0, 999))...)
		expect("a@b[1 3]", "c@b[999]")
		apply(set("a@b", Admin, "x", 0, 1, 3)...)
		expect()
		apply(slices.Concat(set("a@b", Admin, "y", 0, 3), set("a@b", Event, "y", time.Minute, 1, 7))...)
		expect("a@b[1 3 7]")
		time.Sleep(time.Hour)
		synctest.Wait()
		expect("a@b[1 7]")
		apply(append([]Change{{AOR: "a@b", Layer: Admin, Replace: true}}, set("a@b", Admin, "y", 0, 3, 4)...)...)
		expect("a@b[1 4]")
	})
}
