package module_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/module"
)

func TestSetKeys(t *testing.T) {
	app := handlertest.Start(t, "").App()
	aor := func(text string) string {
		t.Helper()
		aor, served, err := app.ParseAOR(text)
		if err != nil || !served {
			t.Fatalf("%s: %v, %v", text, served, err)
		}
		return aor
	}
	alice := aor("alice")
	for _, text := range []string{"sip:alice", "alice@127.0.0.1", "sip:alice@127.0.0.1", "SIP:alice@127.0.0.1",
		"sips:alice@127.0.0.1"} {
		if got := aor(text); got != alice {
			t.Errorf("%s is %s, not %s", text, got, alice)
		}
	}
	set := func(changes ...module.KeyChange) error { return app.SetKeys(t.Context(), changes...) }
	shows := func(want ...module.Key) {
		t.Helper()
		if got := app.EffectiveKeys(alice, "snomD785/10.1"); !slices.Equal(got, want) {
			t.Fatalf("shows %+v, want %+v", got, want)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}

	desk := module.Key{Key: 1, Light: "on", Label: "Desk", Number: "9", Action: "invite"}
	door := module.Key{Key: 1, Light: "pickup", Color: "red", Label: "Door"}
	must(set(module.KeyChange{AOR: alice, Layer: module.LayerAdmin, Set: &desk}))
	shows(desk)
	must(set(module.KeyChange{AOR: alice, Set: &door, Volatile: true}))
	shows(door)
	must(set(module.KeyChange{AOR: alice, Clear: 1}))
	shows(desk)
	must(set(module.KeyChange{AOR: alice, Set: &door, TTL: time.Nanosecond}))
	shows(desk)

	// All or nothing, and the error says which and why.
	for _, test := range []struct {
		change module.KeyChange
		field  string
	}{
		{module.KeyChange{AOR: alice, Set: &module.Key{Key: 2, Light: "purple"}}, "light"},
		{module.KeyChange{AOR: alice, Set: &module.Key{Key: 1000}}, "key"},
		{module.KeyChange{AOR: alice, Layer: "roof", Set: &door}, "layer"},
		{module.KeyChange{AOR: alice, Set: &door, Locked: true}, "locked"},
	} {
		err := set(module.KeyChange{AOR: alice, Layer: module.LayerAdmin, Clear: 1}, test.change)
		var wrong *module.KeyError
		if !errors.As(err, &wrong) || wrong.Index != 1 || wrong.AOR != alice || wrong.Field != test.field {
			t.Errorf("%+v: %v (%+v)", test.change, err, wrong)
		}
		shows(desk)
	}
	if err := set(); err != nil {
		t.Error(err)
	}
	if _, _, err := app.ParseAOR("sip:@x"); err == nil {
		t.Error("an address-of-record without a user")
	}
	if aor, served, err := app.ParseAOR("bob@elsewhere.example"); err != nil || served || aor != "bob@elsewhere.example" {
		t.Error(aor, served, err)
	}
}

// TestVolatileKey restarts the server: what is volatile has gone, and what is not is there.
func TestVolatileKey(t *testing.T) {
	s := handlertest.Start(t, "")
	kept := module.Key{Key: 1, Light: "on", Action: "invite"}
	call := module.Key{Key: 2, Light: "on", Action: "invite"}
	err := s.App().SetKeys(t.Context(), module.KeyChange{AOR: "101@example.com", Set: &kept},
		module.KeyChange{AOR: "101@example.com", Set: &call, Volatile: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Restart()
	if got := s.App().EffectiveKeys("101@example.com", ""); !slices.Equal(got, []module.Key{kept}) {
		t.Errorf("after a restart it shows %+v, want %+v", got, kept)
	}
}

// TestKeysOfModel asks what phones of two models show.
func TestKeysOfModel(t *testing.T) {
	addr := handlertest.FreeAddr(t)
	app := handlertest.StartCaddyfile(t, addr, "{\n\tadmin off\n\tsip {\n"+`		keys {
			profile desk {
				model D785
				key 1 {
					light on
				}
			}
		}
		`+addr.String()+" {\n\t\t}\n\t}\n}\n").App()
	for agent, want := range map[string]int{"snomD785/10.1": 1, "snom370/8.7": 0} {
		if got := app.EffectiveKeys("101@example.com", agent); len(got) != want {
			t.Errorf("%s shows %+v, want %d keys", agent, got, want)
		}
	}
}
