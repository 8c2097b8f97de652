package conformance

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/conformance.md")

const document = "../../docs/conformance.md"

const introduction = `# Conformance

RFC 4475 and RFC 5118 publish messages that torture a SIP implementation: some are valid in every
strange way that the grammar allows, some are broken, and each comes with the behaviour that the RFC
expects. The tests of ` + "`test/conformance`" + ` send each of them, byte for byte, to a running server
over UDP and over TCP, and check what comes back. They also write this page, and fail if it is
out of date: ` + "`go test ./test/conformance -update`" + ` rewrites it.

The server runs ` + "`register` and `proxy`" + ` for the domains in the messages, and the user that a message
is for has registered a phone that answers 200.

- *Forwarded*: the phone gets the message, changed only as a proxy must change it, and its response
  arrives at the address in the message's Via.
- *Answered* and *refused*: the server responds itself.
- *Dropped*: there is no response, and ` + "`caddy_sip_dropped_total`" + ` counts the message under the
  reason given.

Where the RFC leaves a choice, the last column is what we chose.
`

func TestDocument(t *testing.T) {
	var b strings.Builder
	b.WriteString(introduction)
	writeTable(&b, "RFC 4475", rfc4475)
	writeTable(&b, "RFC 5118, IPv6", rfc5118)
	if *update {
		if err := os.WriteFile(document, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(document)
	if err != nil || string(text) != b.String() {
		t.Errorf("docs/conformance.md is out of date (%v): run go test ./test/conformance -update", err)
	}
}

// TestComplete has every file in a table, once.
func TestComplete(t *testing.T) {
	seen := make(map[string]int)
	for _, list := range [][]torture{rfc4475, rfc5118} {
		for _, c := range list {
			seen[c.file]++
		}
	}
	for _, dir := range []string{"rfc4475", "rfc5118"} {
		files, err := filepath.Glob(filepath.Join("..", "..", "wire", "testdata", dir, "*"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no files: %v", err)
		}
		for _, f := range files {
			if name := dir + "/" + filepath.Base(f); seen[name] != 1 {
				t.Errorf("%s is there %d times", name, seen[name])
			}
		}
	}
}

func writeTable(b *strings.Builder, heading string, list []torture) {
	fmt.Fprintf(b, "\n## %s\n\n| § | message | title | the RFC wants | the server |\n|---|---|---|---|---|\n", heading)
	for _, c := range list {
		name := strings.TrimSuffix(filepath.Base(c.file), ".dat")
		does := c.udp.String()
		if tcp := c.overTCP().String(); tcp != does {
			does += "; over TCP " + strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(tcp, does), ", "), "and ")
		}
		if c.why != "" {
			does += " (" + c.why + ")"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", c.section, name, strings.ReplaceAll(c.title, "<", "\\<"), c.rfc, does)
	}
}

func (o outcome) String() string {
	var text string
	switch o.what {
	case "forwarded":
		text = "forwarded"
	case "answered", "refused":
		text = o.what + ": " + o.status
	case "dropped":
		text = "dropped: `" + o.counts[0] + "`"
	case "incomplete":
		text = "waits for the rest"
	}
	if o.then != "" {
		text += ", then " + o.then
	}
	if o.closes {
		text += ", and closes"
	}
	return text
}
