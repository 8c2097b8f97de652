package proxy

import (
	"strings"
	"testing"

	"github.com/caddysip/caddysip/handler/handlertest"
)

// assertions say who somebody is, in many ways.
var assertions = []string{
	"P-Asserted-Identity: <sip:boss@example.com>", "p-asserted-identity:tel:+49123", "P-Preferred-Identity: <sip:boss@example.com>",
	"Remote-Party-ID: <sip:boss@example.com>;party=calling;screen=yes", "REMOTE-PARTY-ID\t: <sip:x@y>", "Diversion: <sip:110@example.com>;reason=unconditional",
	"History-Info: <sip:boss@example.com>;index=1", "P-Served-User: <sip:boss@example.com>", "P-Charging-Vector: icid-value=1",
	"P-Charge-Info: <sip:boss@example.com>", "P-Called-Party-ID: <sip:boss@example.com>", "P-DCS-Billing-Info: x", "CC-Diversion:\n <sip:110@example.com>",
}

// harmless stay, whoever sends them.
var harmless = []string{"Subject: P-Asserted-Identity: x", "X-Asserted: 1", "P-Key-Flags: keys=\"3\"", "Organization: x"}

// told returns those of the lines' fields that a message has.
func told(m handlertest.Message, lines []string) (names []string) {
	for _, l := range lines {
		name, _, _ := strings.Cut(l, ":")
		if name = strings.TrimSpace(name); len(m.Headers(name)) > 0 {
			names = append(names, name)
		}
	}
	return names
}

// TestIdentity has requests and responses of strangers, of users, and of trusted neighbours say who
// somebody is.
func TestIdentity(t *testing.T) {
	s := start(t, "trust 127.0.0.2\ntest_trust\nregister\nproxy")
	bob := registered(t, s, "bob")
	trunk := newPhone(t, s, s.UDPFrom("127.0.0.2"), "trunk")
	trunk.register()
	gateway := newPhone(t, s, s.UDPFrom("127.0.0.2"), "gateway")
	stranger, alice := udp(t, s, "stranger"), registered(t, s, "alice")
	for _, test := range []struct {
		name     string
		from, to *phone
		headers  []string
		want     bool // what is said arrives
		answer   bool // what the callee says arrives
		privacy  bool // and Privacy
	}{
		{"stranger", stranger, bob, nil, false, false, false},
		{"registered", alice, bob, nil, false, false, false},
		{"authenticated", alice, bob, []string{"X-User: alice"}, false, false, false},
		{"to the trunk", alice, trunk, []string{"X-User: alice"}, false, true, true},
		{"from the trunk", trunk, bob, nil, true, false, true},
		{"from trunk to trunk", gateway, trunk, nil, true, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			from, to := test.from, test.to
			from.t, to.t = t, t
			lines := append(append([]string{"Privacy: none"}, harmless...), assertions...)
			for _, method := range []string{"INVITE", "MESSAGE", "OPTIONS", "INFO"} {
				branch := from.request(method, s.URI(to.user), append(lines, test.headers...)...)
				if method == "INVITE" {
					from.Expect("SIP/2.0 100")
				}
				got := to.Expect(method)
				want := 0
				if test.want {
					want = len(assertions)
				}
				if names := told(got, assertions); len(names) != want {
					t.Errorf("%s arrives with %v", method, names)
				}
				same(t, "harmless fields", len(told(got, harmless)), len(harmless))
				same(t, "Privacy", len(got.Headers("Privacy")) == 1, test.privacy)
				want = 0
				if test.answer {
					want = len(assertions)
				}
				answers := []string{"200 OK"}
				if method == "INVITE" {
					answers = []string{"180 Ringing", "302 Moved Temporarily"}
				}
				for _, status := range answers {
					to.Answer(got, status, "x", append(assertions, harmless...)...)
					res := from.Expect("SIP/2.0 " + status[:3])
					if names := told(res, assertions); len(names) != want {
						t.Errorf("%s arrives with %v", status, names)
					}
					same(t, "harmless fields of the answer", len(told(res, harmless)), len(harmless))
					if status[:3] == "302" {
						from.ack(branch, s.URI(to.user), res)
						to.Expect("ACK")
					}
				}
			}
		})
	}
}

// TestPrivacy has a trusted neighbour tell who calls, and that a phone must not see it.
func TestPrivacy(t *testing.T) {
	s := start(t, "trust 127.0.0.2\nregister\nproxy")
	bob := registered(t, s, "bob")
	trunk := newPhone(t, s, s.UDPFrom("127.0.0.2"), "trunk")
	other := newPhone(t, s, s.UDPFrom("127.0.0.2"), "other")
	other.register()
	said := []string{"P-Asserted-Identity: <sip:boss@example.com>", "Remote-Party-ID: <sip:boss@example.com>", "Diversion: <sip:110@example.com>"}
	for privacy, want := range map[string]int{"none": 3, "id": 1, "ID": 1, "header; id ;critical": 1, "header": 3, "identity": 3} {
		for _, to := range []*phone{bob, other} {
			trunk.request("MESSAGE", s.URI(to.user), append(said, "Privacy: "+privacy)...)
			got := to.Expect("MESSAGE")
			if to == other {
				want = 3
			}
			same(t, "fields with Privacy: "+privacy, len(told(got, said)), want)
			same(t, "Privacy", got.Header("Privacy"), privacy)
			to.Answer(got, "200 OK", "x")
			trunk.Expect("SIP/2.0 200")
		}
	}
}

// TestAssertIdentity has the proxy say who has authenticated.
func TestAssertIdentity(t *testing.T) {
	s := start(t, "trust 127.0.0.2\ntest_trust\nregister\nproxy {\nassert_identity\n}")
	host := s.Addr.Addr().String()
	bob, alice := registered(t, s, "bob"), udp(t, s, "alice")
	trunk := newPhone(t, s, s.UDPFrom("127.0.0.2"), "trunk")
	trunk.register()
	const claim = "P-Asserted-Identity: <sip:boss@example.com>"
	for _, test := range []struct {
		name     string
		from, to *phone
		headers  []string
		want     string
	}{
		{"nobody authenticated", alice, bob, []string{claim}, ""},
		{"alice", alice, bob, []string{claim, "X-User: alice"}, "<sip:alice@" + host + ">"},
		{"whatever she prefers", alice, bob, []string{"P-Preferred-Identity: <sip:boss@example.com>", "X-User: alice"}, "<sip:alice@" + host + ">"},
		{"whatever From says", alice, bob, []string{"From: <sip:boss@example.com>;tag=1", "X-User: alice"}, "<sip:alice@localhost>"},
		{"a domain in the name", alice, bob, []string{"X-User: alice@example.com"}, "<sip:alice@example.com>"},
		{"any text", alice, bob, []string{"X-User: a> b\"<;x@example.com"}, "<sip:a%3E%20b%22%3C;x@example.com>"},
		{"anonymous", alice, bob, []string{"Privacy: id", "X-User: alice"}, ""},
		{"anonymous to the trunk", alice, trunk, []string{"Privacy: id", "X-User: alice"}, "<sip:alice@" + host + ">"},
		{"the trunk", trunk, bob, []string{claim}, "<sip:boss@example.com>"},
		{"the trunk as a user", trunk, bob, []string{claim, "X-User: alice"}, "<sip:boss@example.com>"},
		{"the trunk as a user alone", trunk, bob, []string{"X-User: alice"}, "<sip:alice@" + host + ">"},
	} {
		test.from.request("MESSAGE", s.URI(test.to.user), test.headers...)
		got := test.to.Expect("MESSAGE")
		same(t, test.name, strings.Join(got.Headers("P-Asserted-Identity"), " and "), test.want)
		same(t, test.name+": P-Preferred-Identity", len(got.Headers("P-Preferred-Identity")), 0)
		test.to.Answer(got, "200 OK", "x")
		test.from.Expect("SIP/2.0 200")
	}

	// An ACK has none, whoever sends it (RFC 3325 §9.1).
	alice.invite(s.URI("bob"), "X-User: alice")
	bob.pickUp(bob.Expect("INVITE"))
	call := alice.caller(alice.Expect("SIP/2.0 200"))
	call.send("ACK", "X-User: alice")
	none(t, bob.Expect("ACK"), "P-Asserted-Identity")
}
