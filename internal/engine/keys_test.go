package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/internal/snomkeys/keys"
	"github.com/caddysip/caddysip/internal/store"
	"github.com/caddysip/caddysip/storage"
)

const alice = "alice@example.com"

func set(t testing.TB, e *Engine, layer keys.Layer, key int, label string, ttl time.Duration) {
	t.Helper()
	c := keys.Change{AOR: alice, Layer: layer, Record: &keys.Record{Key: key, Label: label}, TTL: ttl}
	if err := e.Keys.Apply(t.Context(), []keys.Change{c}); err != nil {
		t.Fatal(err)
	}
}

// wantKeys compares what a user's keys should show, by their labels.
func wantKeys(t testing.TB, e *Engine, want map[int]string) {
	t.Helper()
	got := make(map[int]string)
	for _, k := range e.Keys.Effective(alice, keys.Phone{}) {
		got[k.Key] = k.Label
	}
	if !maps.Equal(got, want) {
		t.Fatalf("the keys show %v, want %v", got, want)
	}
}

func profile(label string) []keys.ProfileConfig {
	return []keys.ProfileConfig{{Keys: []keys.ProfileKey{{Key: 9, Label: label}}}}
}

func TestKeysSurviveAStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := file(filepath.Join(t.TempDir(), "sip.db"))
		e := newEngine(t)
		g := mustAttach(t, e, stored(s))
		set(t, e, keys.Admin, 1, "below", 0)
		set(t, e, keys.Event, 1, "short", time.Minute)
		set(t, e, keys.User, 2, "long", time.Hour)
		e.Detach(g)

		time.Sleep(2 * time.Minute)
		e = newEngine(t)
		mustAttach(t, e, stored(s))
		wantKeys(t, e, map[int]string{1: "below", 2: "long"})
		time.Sleep(time.Hour)
		wantKeys(t, e, map[int]string{1: "below"})
	})
}

func TestKeysAreThoseOfTheStorage(t *testing.T) {
	dir := t.TempDir()
	one, two := file(filepath.Join(dir, "one.db")), file(filepath.Join(dir, "two.db"))
	e := newEngine(t)
	g := stored(one)
	g.Profiles = profile("first")
	mustAttach(t, e, g)
	set(t, e, keys.Admin, 1, "one", 0)

	// A configuration that another app makes fail is detached before the one that it was to
	// replace.
	failing := stored(two)
	failing.Profiles = profile("second")
	mustAttach(t, e, failing)
	wantKeys(t, e, map[int]string{9: "second"})
	set(t, e, keys.Admin, 1, "two", 0)
	e.Detach(failing)
	wantKeys(t, e, map[int]string{1: "one", 9: "first"})

	next := mustAttach(t, e, stored(two))
	e.Detach(g)
	wantKeys(t, e, map[int]string{1: "two"})
	e.SetProfiles(g, profile("of the one before"))
	wantKeys(t, e, map[int]string{1: "two"})
	e.SetProfiles(next, profile("third"))
	wantKeys(t, e, map[int]string{1: "two", 9: "third"})
	e.Detach(next)
}

func TestKeysOfALaterVersion(t *testing.T) {
	dir := t.TempDir()
	later := filepath.Join(dir, "later.db")
	b, err := store.OpenBolt(later)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Write(t.Context(), storage.Batch{Changes: []storage.Change{{Bucket: "keys", Key: alice, Value: []byte(`{"version":99}`)}}}); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	e := newEngine(t)
	g := mustAttach(t, e, stored(file(filepath.Join(dir, "sip.db"))))
	set(t, e, keys.Admin, 1, "one", 0)
	if err := e.Attach(stored(file(later))); err == nil || !strings.Contains(err.Error(), "alice@example.com: it has version 99, which this version of caddysip does not know") {
		t.Fatalf("got the error %v", err)
	}
	wantStored(t, later, "") // it is closed again
	set(t, e, keys.Admin, 2, "two", 0)
	wantKeys(t, e, map[int]string{1: "one", 2: "two"})
	e.Detach(g)
}

func TestKeysWithoutListeners(t *testing.T) {
	taken, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	e := newEngine(t)
	mustAttach(t, e, stored(file(filepath.Join(dir, "one.db"))))
	set(t, e, keys.Admin, 1, "one", 0)
	g := stored(file(filepath.Join(dir, "two.db")), Address{Network: transport.UDP, Addr: netip.MustParseAddrPort(taken.LocalAddr().String())})
	g.Profiles = profile("none")
	if err := e.Attach(g); err == nil {
		t.Fatal("a port that is taken was opened")
	}
	set(t, e, keys.Admin, 2, "two", 0)
	wantKeys(t, e, map[int]string{1: "one", 2: "two"})
}

// TestKeysOfAHangingDisk: who sets a key is told, and a stop does not wait for ever.
func TestKeysOfAHangingDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		h := hanging{store.NewMemory(), make(chan struct{})}
		g := mustAttach(t, e, stored(&countingStorage{name: "hanging", open: func() (storage.Engine, error) { return h, nil }}))
		start := time.Now()
		err := e.Keys.Apply(t.Context(), []keys.Change{{AOR: alice, Layer: keys.Admin, Record: &keys.Record{Key: 1}}})
		if !errors.Is(err, keys.ErrHangs) {
			t.Errorf("got the error %v", err)
		}
		e.Detach(g)
		if took := time.Since(start); took > time.Minute {
			t.Errorf("it took %v", took)
		}
		wantKeys(t, e, map[int]string{})
		close(h.hold)
	})
}

// TestProfilesReachTheRegistered: a configuration that changes profiles tells of those who have a
// phone, and only if it does.
func TestProfilesReachTheRegistered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		g := mustAttach(t, e, stored(nil))
		register(t, e, "alice", 1, time.Hour)
		register(t, e, "bob", 1, time.Hour)
		sub := e.Events.Subscribe(0)
		defer sub.Close()
		next := stored(nil)
		next.Profiles = profile("new")
		next.Profiles[0].Users = []string{"a*", "nobody"}
		mustAttach(t, e, next)
		e.Detach(g)
		again := stored(nil)
		again.Profiles = []keys.ProfileConfig{next.Profiles[0]}
		mustAttach(t, e, again)
		e.Detach(next)
		time.Sleep(time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var got []string
		for ev, err := sub.Next(ctx); err == nil; ev, err = sub.Next(ctx) {
			got = append(got, fmt.Sprint(ev.Type, " ", ev.Map()["aor"]))
		}
		if want := []string{"key_changed " + alice}; !slices.Equal(got, want) {
			t.Errorf("events are %v, want %v", got, want)
		}
	})
}
