package logappend

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/logging" // the log writer "file"

	"github.com/caddysip/caddysip/handler/handlertest"
	_ "github.com/caddysip/caddysip/handler/respond"
	_ "github.com/caddysip/caddysip/handler/vars"
)

// entries runs a server with the directives, sends it a request, and returns the entries of its access log.
func entries(t *testing.T, directives string) []map[string]any {
	t.Helper()
	addr := handlertest.FreeAddr(t)
	var config map[string]any
	if err := json.Unmarshal(handlertest.Adapt(t, "{\n\tadmin off\n\tsip {\n\t\t"+addr.String()+" {\n"+directives+"\n\t\t}\n\t}\n}\n"), &config); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "access.log")
	config["logging"] = map[string]any{"logs": map[string]any{
		"default": map[string]any{"level": "ERROR"},
		"access": map[string]any{
			"include": []string{"sip.log.access"}, "writer": map[string]any{"output": "file", "filename": file}, "encoder": map[string]any{"format": "json"},
		},
	}}
	raw, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	s := handlertest.StartCaddyfile(t, addr, "{\n\tadmin off\n}\n")
	if err := caddy.Load(raw, true); err != nil {
		t.Fatal(err)
	}
	p := s.UDP()
	p.Send("MESSAGE sip:431@example.com SIP/2.0\nVia: SIP/2.0/UDP {me};branch={branch};rport\nMax-Forwards: 70\n" +
		"From: <sip:alice@example.com>;tag=f\nTo: <sip:431@example.com>\nCall-ID: c\nCSeq: 1 MESSAGE\nSubject: {sip.method}\n\n")
	p.Receive()
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var list []map[string]any
	for line := range strings.Lines(string(text)) {
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		list = append(list, e)
	}
	return list
}

// What later handlers find out is in the entry, and so is the outcome; what comes from the wire is only text.
func TestLogAppend(t *testing.T) {
	list := entries(t, "log\nlog_append found {sip.vars.x}\nlog_append outcome \"{sip.response.status} {sip.method}\"\n"+
		"log_append subject {sip.header.Subject}\nvars x later\nrespond 486")
	if len(list) != 1 {
		t.Fatalf("%d entries: %v", len(list), list)
	}
	for key, want := range map[string]any{"found": "later", "outcome": "486 MESSAGE", "subject": "{sip.method}", "status": 486.0, "answered_by": "respond"} {
		if got := list[0][key]; got != want {
			t.Errorf("%s is %v, want %v", key, got, want)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, text := range []string{"log_append", "log_append a", "log_append a b c"} {
		if err := new(LogAppend).UnmarshalCaddyfile(caddyfile.NewTestDispenser(text)); err == nil {
			t.Errorf("%s: no error", text)
		}
	}
	if err := (&LogAppend{Value: "x"}).Validate(); err == nil {
		t.Error("no error without a key")
	}
}
