package audit

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	_ "github.com/caddysip/caddysip"
	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/module"
	builtin "github.com/caddysip/caddysip/module/storage"
	"github.com/caddysip/caddysip/module/storagetest"
	"github.com/caddysip/caddysip/storage"
)

func TestStorage(t *testing.T) {
	storagetest.Run(t, storagetest.Suite{
		New: func(t *testing.T) storage.Storage {
			dir := t.TempDir()
			return &Audit{File: filepath.Join(dir, "audit.json"), storage: &builtin.Bolt{Path: filepath.Join(dir, "sip.db")}}
		},
		Durable: true,
	})
}

// TestJournal writes what was done, and nothing else.
func TestJournal(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.json")
	addr := handlertest.FreeAddr(t)
	s := handlertest.StartCaddyfile(t, addr, `{
		admin off
		sip {
			storage audit `+file+` {
				bolt
			}
			`+addr.String()+` {
				register
			}
		}
	}`)
	s.Phone("101")
	key := &module.Key{Key: 1, Light: "on"}
	if err := s.App().SetKeys(t.Context(), module.KeyChange{AOR: "101@localhost", Set: key}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	var e entry
	if err := json.Unmarshal(lines[0], &e); err != nil || len(lines) != 1 || e.Key == "" || e.Revision == 0 || e.Deleted || e.Time.IsZero() {
		t.Errorf("the journal is\n%s", text)
	}
}
