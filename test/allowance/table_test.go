package allowance

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/caddysip/caddysip/test/simnet"
)

// sender is what is known of who sent a message. docs/security.md has a row for each.
type sender int

const (
	stranger      sender = iota
	registered           // from where somebody has registered
	authenticated        // this very message has shown who sent it
	trusted              // from an address in trust
	senders
)

// row is what one message of a sender may bring about, at most. The numbers are asserted by
// TestAllowance.
type row struct {
	who, what string
	// Packets to where it came from, by UDP.
	invite  int // an INVITE: 100 and final responses
	request int // any other request
	// Requests to anybody else.
	whom string
	// Bytes still held a minute later, for each byte of it, and what computing it costs, in plain
	// refreshes.
	held, work int
}

// Packets that RFC 3261 has sent when nobody answers, at T1 = 500 ms.
const (
	invites           = 7  // an INVITE, in 32 s (§17.1.1.2)
	requests          = 11 // any other request (§17.1.2.2)
	finals            = 11 // a final response to an INVITE (§17.2.1)
	finalsUnvalidated = 4  // and to a source that may be forged
	pushesUnvalidated = 4  // a request of the server's own to such a source
)

var rows = [senders]row{
	stranger: {
		who: "**stranger**", what: "from nowhere that is known",
		invite: 1 + finalsUnvalidated, request: 2,
		whom: "registered phones and configured servers, where the routes let strangers call",
		held: 2, work: 20,
	},
	registered: {
		who: "**registered**", what: "from the address and port of a registration",
		invite: 1 + finals, request: 2,
		whom: "the same; and the other end of its calls",
		held: 2, work: 20,
	},
	authenticated: {
		who: "**authenticated**", what: "this very message shows whose it is",
		invite: 1 + finals, request: 2,
		whom: "the same; and the address that it names in its Request-URI or Route, or those of a name there, at most 8 and one after the other",
		held: 2, work: 20,
	},
	trusted: {
		who: "**trusted**", what: "from an address in `trust`",
		invite: 1 + finals, request: 2,
		whom: "the same as for a stranger; edge proxies, by the Path of their phones; and the ends of a call, with what that has recorded",
		held: 2, work: 20,
	},
}

// A message is a datagram, or one on a stream. What a datagram may cost grows with what it takes to
// send.
const (
	packet    = 1500 // bytes: a longer datagram travels in several packets, and each may cost what one may
	phoneWork = 5    // for each further phone that the message calls, or takes the registration of, in plain refreshes
	phones    = 10   // that a user can have, and "Contact: *" removes
)

// What may be held beside that: pools and tables whose size doesn't depend on what comes. The
// latest events have a limit of their own.
const (
	heldConstant = 256 << 10
	heldEvents   = 4<<20 + 256<<10 // with the ring that they are in
)

// allowed returns what a message may cost to compute, in plain refreshes, when the server sent so
// many requests because of it.
func (c *cause) allowed(requests int) int {
	if strings.Contains(c.m.text, "Contact: *") {
		requests = phones
	}
	return rows[c.sender].work*(1+(c.size-1)/packet) + phoneWork*max(0, requests-1)
}

// most returns how many packets such as p may be sent to the same address because of a
// transaction's messages.
func (o *model) most(g *group, p simnet.Packet, m *message) (n int, why string) {
	method := m.method()
	if len(g.causes) == 0 {
		if p.TCP || o.validated[p.To] || o.registered(p.To) && o.hasCalled(p.To, m.get("to")) {
			return requests, "a request of the server's own"
		}
		return pushesUnvalidated, "a request of the server's own to a source that may be forged"
	}
	for _, c := range g.causes {
		r := rows[c.sender]
		switch {
		case m.response() && method == "INVITE" && (c.tcp || o.validated[c.from]):
			n += max(r.invite, 1+finals)
		case m.response() && method == "INVITE":
			n += 1 + finalsUnvalidated
		case m.response():
			n += r.request
		case method == "INVITE":
			n += invites
		case method == "ACK":
			n++
		default:
			n += requests
		}
	}
	if m.response() {
		return n + g.answers, "responses to " + method
	}
	if method == "ACK" {
		n += o.group(m.invitation()).answers // to a refusal the server sends it itself, each time that one comes
	}
	return n, "a request that is relayed"
}

// markdown is the table in docs/security.md.
func markdown() string {
	var b strings.Builder
	b.WriteString("| one packet of a | datagrams to where it came from | requests to others | held a minute later | computed |\n|---|---|---|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s, %s | INVITE: %d; any other: %d | %s | %d × its length | %d × a plain refresh |\n",
			r.who, r.what, r.invite, r.request, r.whom, r.held, r.work)
	}
	return b.String()
}

var update = flag.Bool("update", false, "write the table into docs/security.md")

// TestTable compares the table in the documentation with the one that TestAllowance checks.
func TestTable(t *testing.T) {
	const name = "../../docs/security.md"
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(data), "-update -->\n\n")
	table, after, found := strings.Cut(rest, "\n<!-- end -->")
	if !found {
		t.Fatalf("%s has no table", name)
	}
	if *update {
		text := before + "-update -->\n\n" + markdown() + "\n<!-- end -->" + after
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if table+"\n" != markdown()+"\n" && table != markdown() {
		t.Errorf("%s has\n%s\nand should have\n%s", name, table, markdown())
	}
}
