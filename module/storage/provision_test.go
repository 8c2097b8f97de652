package storage_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/module/moduletest"
	"github.com/caddysip/caddysip/module/storage"
)

func init() {
	caddy.RegisterModule(stranger{})
}

// stranger is in the namespace of storages, and is none.
type stranger struct{}

func (stranger) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.storage.stranger", New: func() caddy.Module { return new(stranger) }}
}

func identity(t *testing.T, b *storage.Bolt) string {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	if err := b.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	return b.Identity()
}

func TestIdentity(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_DATA_HOME", dir)
	t.Setenv("SIP_DIR", dir)
	t.Chdir(dir)
	if got, want := identity(t, &storage.Bolt{}), "bolt:"+filepath.Join(dir, "caddy", "sip", "sip.db"); got != want {
		t.Errorf("the default is %s, want %s", got, want)
	}
	for _, path := range []string{filepath.Join(dir, "a.db"), "a.db", "./b/../a.db", "{env.SIP_DIR}/a.db"} {
		if got, want := identity(t, &storage.Bolt{Path: path}), "bolt:"+filepath.Join(dir, "a.db"); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	if err := (&storage.Bolt{Path: "{unheard.of}/a.db"}).Provision(ctx); err == nil || !strings.Contains(err.Error(), "unheard.of") {
		t.Errorf("an unknown placeholder: %v", err)
	}
}

// TestCheckingAConfigurationTouchesNothing: a configuration is also loaded only to see whether it is good.
func TestCheckingAConfigurationTouchesNothing(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_DATA_HOME", dir)
	for _, config := range []string{
		`{}`,
		`{"storage": {"module": "bolt"}}`,
		`{"storage": {"module": "bolt", "path": "` + filepath.ToSlash(filepath.Join(dir, "a", "sip.db")) + `"}}`,
		`{"storage": {"module": "memory"}}`,
	} {
		if app := moduletest.App(t, config); inside.AppOf(app).Engine.Storage() != nil {
			t.Errorf("%s: the storage is open", config)
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("there are %v, %v", files, err)
	}
}

func TestWrongConfigurations(t *testing.T) {
	for config, want := range map[string]string{
		`{"storage": {"module": "stranger"}}`:            "is no storage",
		`{"storage": {"module": "unheard-of"}}`:          "unknown module: sip.storage.unheard-of",
		`{"storage": {"path": "x"}}`:                     "module",
		`{"storage": {"module": "bolt", "file": "x"}}`:   "file",
		`{"storage": {"module": "memory", "path": "x"}}`: "path",
	} {
		if _, err := moduletest.Load(t, config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", config, err, want)
		}
	}
}
