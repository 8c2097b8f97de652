package journal

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	_ "github.com/caddyserver/caddy/v2/modules/caddyevents/eventsconfig" // the option events
	_ "github.com/caddysip/caddysip"
	"github.com/caddysip/caddysip/handler/handlertest"
)

func TestJournal(t *testing.T) {
	file := filepath.Join(t.TempDir(), "journal.json")
	addr := handlertest.FreeAddr(t)
	s := handlertest.StartCaddyfile(t, addr, `{
		admin off
		events {
			on key_pressed journal `+file+`
		}
		sip {
			`+addr.String()+` {
				register
			}
		}
	}`)
	phone := s.Phone("101")
	phone.Request("MESSAGE", s.URI("77"), "Content-Type: application/x-buttons", "", "k=3\nn=77\n")
	phone.Expect("SIP/2.0 200")

	// Events come when the answer has gone.
	var text []byte
	for deadline := time.Now().Add(10 * time.Second); !strings.HasSuffix(string(text), "\n"); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("the journal is %q", text)
		}
		text, _ = os.ReadFile(file)
	}
	var line struct {
		Event string
		Data  struct {
			AOR    string
			Key    int
			Number string
		}
	}
	if err := json.Unmarshal(text, &line); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if line.Event != "key_pressed" || line.Data.AOR != "101@localhost" || line.Data.Key != 3 || line.Data.Number != "77" {
		t.Errorf("the journal is %s", text)
	}
}
