package keys

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/internal/store"
	"github.com/caddysip/caddysip/storage"
)

func put(t *testing.T, e storage.Engine, aor, document string) {
	t.Helper()
	if _, err := e.Write(context.Background(), storage.Batch{Changes: []storage.Change{{Bucket: bucket, Key: aor, Value: []byte(document)}}}); err != nil {
		t.Fatal(err)
	}
}

func inStorage(t *testing.T, e storage.Engine, aor string) string {
	t.Helper()
	entry, err := e.Get(context.Background(), bucket, aor)
	if errors.Is(err, storage.ErrNotFound) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(entry.Value)
}

// What is stored is for later versions to read: its form must not change without a new number, except
// that a field is added which an older one need not know.
func TestDocument(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := store.NewMemory()
		f := &failing{Engine: m}
		s, _ := start(t, f)
		mustApply(t, s,
			Change{AOR: alice, Layer: User, Record: &Record{Key: 12, Label: `<"ä`}, TTL: time.Hour},
			Change{AOR: alice, Layer: Admin, Record: &Record{Key: 2, Light: "on", Color: "red", Label: "Front desk", Number: "9", Action: "invite"}, Locked: true},
			Change{AOR: alice, Layer: Event, Record: label(2, "call"), Volatile: true},
		)
		want := `{"version":1,"keys":[{"layer":"admin","key":2,"light":"on","color":"red","label":"Front desk","number":"9","action":"invite","locked":true},` +
			`{"layer":"user","key":12,"label":"<\"ä","expires":946688400000,"lasts":3600000}]}`
		if got := inStorage(t, m, alice); got != want || !f.sync || f.writes != 1 {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		mustApply(t, s, Change{AOR: alice, Layer: Event, Record: label(2, "other call"), Volatile: true}, Change{AOR: alice, Layer: Event, Record: label(3, "call"), Volatile: true, TTL: time.Second})
		mustApply(t, s, Change{AOR: alice, Layer: User, Key: 99})
		if f.writes != 1 {
			t.Error("what is volatile was written")
		}
		// The entry goes with its last key.
		if e, err := m.Get(context.Background(), bucket, alice); err != nil || !e.Expires.IsZero() {
			t.Errorf("it expires at %v, %v", e.Expires, err)
		}
		mustApply(t, s, Change{AOR: alice, Layer: Admin, Key: 2})
		if e, err := m.Get(context.Background(), bucket, alice); err != nil || e.Expires.UnixMilli() != 946688400000 {
			t.Errorf("it expires at %v, %v", e.Expires, err)
		}
		mustApply(t, s, Change{AOR: alice, Layer: User, Replace: true})
		if got := inStorage(t, m, alice); got != "" {
			t.Errorf("there is still %s", got)
		}
		shows(t, s, alice, map[int]string{2: "other call", 3: "call"})
		s.Close()
		_ = m.Close()
	})
}

func TestRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sip.db")
	e := openBolt(t, path)
	s, _ := start(t, e)
	mustApply(t, s,
		Change{AOR: alice, Layer: Admin, Record: &Record{Key: 2, Light: "on", Color: "red", Label: "Front desk", Number: "9", Action: "invite"}, Locked: true},
		Change{AOR: alice, Layer: User, Record: label(2, "mine")},
		Change{AOR: alice, Layer: Event, Record: label(3, "missed")},
		Change{AOR: alice, Layer: Event, Record: label(4, "ringing"), Volatile: true},
		Change{AOR: bob, Layer: Admin, Record: label(1, "x")},
	)
	want := slices.DeleteFunc(s.Effective(alice, Phone{}), func(e Effective) bool { return e.Label == "ringing" })
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	again, _ := start(t, openBolt(t, path))
	if got := again.Effective(alice, Phone{}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if got := again.Layer(alice, User); len(got) != 1 || got[0].Label != "mine" {
		t.Errorf("the user's layer is %+v", got)
	}
}

func TestStorageError(t *testing.T) {
	f := &failing{Engine: closing(t, store.NewMemory())}
	s, told := start(t, f)
	mustApply(t, s, Change{AOR: alice, Layer: Admin, Record: label(1, "before")})
	told.take()
	revision := s.Revision(alice)
	f.fail(errFull)
	call := Change{AOR: alice, Layer: Event, Record: label(2, "call"), Volatile: true}
	mustApply(t, s, call) // what needs no storage goes on
	shows(t, s, alice, map[int]string{1: "before", 2: "call"})
	mustApply(t, s, Change{AOR: alice, Layer: Event, Key: 2})
	shows(t, s, alice, map[int]string{1: "before"})
	told.take()
	changes := []Change{{AOR: alice, Layer: Admin, Record: label(1, "after")}, {AOR: bob, Layer: User, Record: label(1, "new")}, call}
	if err := s.Apply(context.Background(), changes); !errors.Is(err, errFull) {
		t.Errorf("got the error %v", err)
	}
	shows(t, s, alice, map[int]string{1: "before"})
	shows(t, s, bob, map[int]string{})
	if got := told.take(); got != nil || s.Revision(alice) != revision {
		t.Errorf("nothing has changed, but told of %v", got)
	}
	f.fail(nil)
	mustApply(t, s, changes...)
	shows(t, s, alice, map[int]string{1: "after", 2: "call"})

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Apply(ctx, []Change{{AOR: bob, Layer: User, Record: label(1, "newer")}}); !errors.Is(err, context.Canceled) {
		t.Errorf("got the error %v", err)
	}
	shows(t, s, bob, map[int]string{1: "new"})
}

// All three layers of all keys, with the longest texts, are more than an entry of the storage may
// have.
func TestTooMuch(t *testing.T) {
	s, _ := start(t, closing(t, store.NewMemory()))
	var changes []Change
	for key := 1; key <= MaxKey; key++ {
		for _, l := range []Layer{Admin, User, Event} {
			changes = append(changes, Change{AOR: alice, Layer: l, Record: label(key, strings.Repeat(`"`, MaxText))})
		}
	}
	if err := s.Apply(context.Background(), changes); !errors.Is(err, storage.ErrInvalid) {
		t.Errorf("got the error %v", err)
	}
	if s.Len() != 0 {
		t.Error("a half was made")
	}
	mustApply(t, s, changes[:1000]...)
}

func TestAnotherStorage(t *testing.T) {
	first, second := closing(t, store.NewMemory()), closing(t, store.NewMemory())
	put(t, second, alice, `{"version":1,"keys":[{"layer":"admin","key":1,"label":"second"}]}`)
	s, told := start(t, first)
	mustApply(t, s,
		Change{AOR: alice, Layer: Admin, Record: label(1, "first")},
		Change{AOR: alice, Layer: Event, Record: label(2, "ringing"), Volatile: true},
		Change{AOR: bob, Layer: User, Record: label(1, "first")},
	)
	told.take()
	use := func(e storage.Engine, want ...string) {
		t.Helper()
		if err := s.SwitchTo(e); err != nil {
			t.Fatal(err)
		}
		got := told.take()
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("told of %v, want %v", got, want)
		}
	}
	use(first)
	use(second, alice, bob)
	shows(t, s, alice, map[int]string{1: "second", 2: "ringing"})
	shows(t, s, bob, map[int]string{})
	mustApply(t, s, Change{AOR: bob, Layer: User, Record: label(5, "there")})
	if inStorage(t, second, bob) == "" || strings.Contains(inStorage(t, first, bob), "there") {
		t.Error("it was written to the wrong storage")
	}
	told.take()
	use(first, alice, bob)
	shows(t, s, alice, map[int]string{1: "first", 2: "ringing"})
	shows(t, s, bob, map[int]string{1: "first"})
	use(nil)
	mustApply(t, s, Change{AOR: bob, Layer: User, Record: label(1, "nowhere")})
	shows(t, s, bob, map[int]string{1: "nowhere"})
	if strings.Contains(inStorage(t, first, bob), "nowhere") {
		t.Error("it was written")
	}
}

func TestVersions(t *testing.T) {
	m := closing(t, store.NewMemory())
	put(t, m, alice, `{"version":2,"keys":[]}`)
	put(t, m, bob, `{"version":1,"keys":[{"layer":"admin","key":1,"label":"b"}]}`)
	good := closing(t, store.NewMemory())
	s, told := start(t, good)
	mustApply(t, s, Change{AOR: bob, Layer: Admin, Record: label(1, "kept")})
	told.take()
	err := s.SwitchTo(m)
	want := "loading keys: the keys of alice@example.com: it has version 2, which this version of caddysip does not know: 1 is the latest that it does; use a newer caddysip, or another storage"
	if err == nil || err.Error() != want {
		t.Errorf("got the error %v", err)
	}
	// It is as if it had not been tried.
	shows(t, s, bob, map[int]string{1: "kept"})
	mustApply(t, s, Change{AOR: bob, Layer: Admin, Record: label(1, "still")})
	if !strings.Contains(inStorage(t, good, bob), "still") || inStorage(t, m, alice) != `{"version":2,"keys":[]}` {
		t.Error("it was written to the wrong storage")
	}
}

func TestUpgrade(t *testing.T) {
	// As if two versions had been before this one: one whose keys were called buttons, one whose
	// labels were called text.
	defer func(before []upgrade, v int) { upgrades, version = before, v }(upgrades, version)
	version = 3
	rename := func(from, to string) upgrade {
		return func(d json.RawMessage) (json.RawMessage, error) {
			return json.RawMessage(strings.ReplaceAll(string(d), `"`+from+`":`, `"`+to+`":`)), nil
		}
	}
	upgrades = []upgrade{rename("buttons", "keys"), rename("text", "label")}
	m := closing(t, store.NewMemory())
	put(t, m, alice, `{"version":1,"buttons":[{"layer":"admin","key":1,"text":"one"}]}`)
	put(t, m, bob, `{"version":2,"keys":[{"layer":"admin","key":1,"text":"two"}]}`)
	put(t, m, "carol@example.com", `{"version":3,"keys":[{"layer":"admin","key":1,"label":"three"}]}`)
	s, _ := start(t, m)
	shows(t, s, alice, map[int]string{1: "one"})
	shows(t, s, bob, map[int]string{1: "two"})
	shows(t, s, "carol@example.com", map[int]string{1: "three"})
	mustApply(t, s, Change{AOR: alice, Layer: User, Record: label(2, "new")})
	if got, want := inStorage(t, m, alice), `{"version":3,"keys":[{"layer":"admin","key":1,"label":"one"},{"layer":"user","key":2,"light":"on","label":"new"}]}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// What can't be read does not take the rest with it.
func TestDamage(t *testing.T) {
	m := closing(t, store.NewMemory())
	for i, d := range []string{"", "{", "null", "[]", `{"version":0}`, `{"version":-1,"keys":[]}`, `{"version":1,"keys":[{"layer":"profile","key":1}]}`,
		`{"version":1,"keys":[{"layer":"admin","key":0}]}`, `{"version":1,"keys":[{"layer":"boss","key":1}]}`, `{"version":1,"keys":[{"layer":"admin","key":1,"label":"\u0000"}]}`} {
		put(t, m, string(rune('a'+i)), d)
	}
	put(t, m, alice, `{"version":1,"keys":[{"layer":"user","key":3,"label":"c"},{"layer":"admin","key":1,"label":"a"},{"layer":"admin","key":1,"label":"b"},{"layer":"event","key":2,"expires":1}]}`)
	s, _ := start(t, m)
	if got := s.AORs("", 0); !slices.Equal(got, []string{alice}) {
		t.Errorf("there are keys of %v", got)
	}
	shows(t, s, alice, map[int]string{1: "a", 3: "c"})
}

// TestUnsure has a storage that makes a change and says that it has not. What is acknowledged after
// that is what a restart finds, though it changes nothing of what is in memory.
func TestUnsure(t *testing.T) {
	for what, change := range map[string]Change{
		"the same again":  {AOR: alice, Layer: Admin, Record: label(2, "first")},
		"nothing deleted": {AOR: alice, Layer: Admin, Key: 3},
	} {
		m := closing(t, store.NewMemory())
		f := &failing{Engine: m}
		s, _ := start(t, f)
		mustApply(t, s, Change{AOR: alice, Layer: Admin, Record: label(2, "first")})
		before := inStorage(t, m, alice)
		f.lands = true
		f.fail(errFull)
		if err := s.Apply(t.Context(), []Change{
			{AOR: alice, Layer: Admin, Record: label(2, "second")}, {AOR: alice, Layer: Admin, Record: label(3, "third")},
		}); !errors.Is(err, errFull) || inStorage(t, m, alice) == before {
			t.Fatalf("%v, and stored is %s", err, inStorage(t, m, alice))
		}
		f.fail(nil)
		mustApply(t, s, change)
		if got := inStorage(t, m, alice); got != before {
			t.Errorf("%s: stored is\n%s\nwant\n%s", what, got, before)
		}
		writes := f.writes
		if mustApply(t, s, change); f.writes != writes {
			t.Errorf("%s: it is written each time", what)
		}
	}
}
