package admin_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/caddysip/caddysip/handler/handlertest"
	_ "github.com/caddysip/caddysip/handler/proxy"
)

// TestDocumentedProfiles loads the configuration that docs/keys.md begins with, and sends what is sent there.
func TestDocumentedProfiles(t *testing.T) {
	document, err := os.ReadFile("../../docs/keys.md")
	if err != nil {
		t.Fatal(err)
	}
	_, config, _ := strings.Cut(string(document), "```caddyfile\n")
	config, _, _ = strings.Cut(config, "```")
	a := &server{t: t, api: handlertest.FreeAddr(t)}
	addr := handlertest.FreeAddr(t)
	config = strings.Replace(config, ":5060", addr.String(), 1)
	config = strings.Replace(config, "{\n", "{\n\tadmin "+a.api.String()+"\n", 1)
	config = strings.Replace(config, "sip {\n", "sip {\n\t\tstorage memory\n\t\tdomain example.com\n", 1)
	a.Server = handlertest.StartCaddyfile(t, addr, config)

	commands := regexp.MustCompile(`curl -X PUT 'localhost:2019([^']*)' -d '([^']*)'`).FindAllStringSubmatch(string(document), -1)
	if len(commands) != 3 {
		t.Fatalf("there are %d commands", len(commands))
	}
	desk := `{"color":"green","key":1,"label":"Front desk","layer":"profile","light":"on","number":"9"}`
	emergency := `{"key":2,"label":"Emergency","layer":"profile","locked":true,"number":"112"}`
	bell := `{"color":"red","key":1,"label":"Door bell","layer":"admin","light":"pickup","number":"77"}`
	drill := `{"key":2,"label":"Fire drill","layer":"admin","locked":true,"number":"4712"}`
	a.shows("101", "["+desk+","+emergency+"]")
	a.shows("201", "[]")
	for i, want := range []string{bell + "," + emergency, bell + "," + emergency, bell + "," + drill} {
		a.do("PUT", commands[i][1], commands[i][2], 201)
		a.shows("101", "["+want+"]")
	}
	a.do("DELETE", "/sip/keys/101/1", "", 204)
	a.do("DELETE", "/sip/keys/101/2", "", 204)
	a.shows("101", "["+desk+","+emergency+"]")
}
