package routetoken

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

// newRegistrar returns a Signer of a site where users are registered: each user's Contacts, with
// the address they come from.
func newRegistrar(t *testing.T, users map[string][]string) *Signer {
	t.Helper()
	s := newSigner("secret")
	store := location.New(location.Options{})
	t.Cleanup(func() { store.Close() })
	s.Site.(*site).store = store
	cseq := uint32(0)
	for user, bindings := range users {
		for _, b := range bindings {
			contact, from, _ := strings.Cut(b, " ")
			uri, err := wire.ParseURI([]byte(contact))
			if err != nil {
				t.Fatal(err)
			}
			cseq++
			u := location.Update{AOR: []byte(user + "@example.com"), CallID: fmt.Append(nil, cseq), CSeq: cseq,
				Flow:     flowFrom(from),
				Contacts: []location.ContactUpdate{{URI: uri, Expires: 600}}}
			if err := store.Update(&u, new(location.Result)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return s
}

// flowFrom returns the flow of packets from an address, by UDP unless it says otherwise.
func flowFrom(text string) transport.Flow {
	network := transport.UDP
	if addr, ok := strings.CutPrefix(text, "tcp/"); ok {
		network, text = transport.TCP, addr
	}
	return transport.Flow{Network: network, Remote: netip.MustParseAddrPort(text)}
}

// within returns a request in a dialog. Edits are pairs of a text and what replaces it.
func within(t *testing.T, method string, edits ...string) *wire.Message {
	t.Helper()
	text := strings.NewReplacer(edits...).Replace(method + " sip:bob@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK1\r\n" +
		"From: <sip:alice@example.com>;tag=a\r\nTo: <sip:bob@example.com>;tag=b\r\nCall-ID: call\r\nCSeq: 1 " + method + "\r\n\r\n")
	m := new(wire.Message)
	if err := m.Parse([]byte(text)); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return m
}

// TestComesFrom asks who may speak for an end of a call where the user alice is, or nobody of ours.
func TestComesFrom(t *testing.T) {
	const home, away, far = "192.0.2.1:5060", "198.51.100.1:5060", "203.0.113.1:5060"
	s := newRegistrar(t, map[string][]string{"alice": {"sip:alice@198.51.100.1 " + away}, "carol": {"sip:carol@203.0.113.1 " + far}})
	alice := Identity("alice@example.com")
	from := func(uri string) []string { return []string{"sip:alice@example.com", uri} }
	for _, test := range []struct {
		name    string
		user    uint32
		dialed  bool
		from    string
		sender  Sender
		edits   []string
		is      bool
		isOther bool // of the end of an unknown user
	}{
		{name: "its hop", from: home, is: true, isOther: true},
		{name: "its hop, in a zone", from: "[fe80::1%eth0]:5060"},
		{name: "its hop by another transport", from: "tcp/" + home},
		{name: "another port of it", from: "192.0.2.1:5062"},
		{name: "another port of where we have connected to", from: "192.0.2.1:5062", dialed: true, is: true, isOther: true},
		{name: "another host than where we have connected to", from: far, dialed: true},
		{name: "a trusted neighbour", from: far, sender: Sender{Trusted: true}, is: true, isOther: true},
		{name: "where she is registered", from: away, is: true},
		{name: "where she is registered, by another transport", from: "tcp/" + away},
		{name: "another port of where she is registered", from: "198.51.100.1:5062"},
		{name: "where another user is registered", from: far},
		{name: "where another user is registered, who says so", from: far, edits: from("sip:carol@example.com")},
		{name: "her credentials", from: far, sender: Sender{User: "alice"}, is: true},
		{name: "the credentials of her address-of-record", from: far, sender: Sender{User: "alice@example.com"}, edits: from("sip:x@elsewhere.example"), is: true},
		{name: "another user's credentials, and his name", from: far, sender: Sender{User: "carol"}, edits: from("sip:carol@example.com")},
		{name: "her name at another domain", from: away, edits: from("sip:alice@elsewhere.example")},
		{name: "no name", from: away, edits: []string{"<sip:alice@example.com>", "tel:1"}},
		{name: "no URI", from: away, edits: []string{"<sip:alice@example.com>", "<alice>"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := within(t, "BYE", test.edits...)
			test.sender.Flow = flowFrom(test.from)
			end := End{Hop: Hop{transport.UDP, netip.MustParseAddrPort(home)}, Dialed: test.dialed, User: alice}
			if got := s.comesFrom(m, &end, &test.sender); got != test.is {
				t.Errorf("from her: %t", got)
			}
			end.User = 0
			if got := s.comesFrom(m, &end, &test.sender); got != test.isOther {
				t.Errorf("from the end of somebody who is no user: %t", got)
			}
		})
	}
	zone := End{Hop: Hop{transport.UDP, netip.MustParseAddrPort("[fe80::1]:5060")}}
	if f := flowFrom("[fe80::1%eth0]:5060"); !zone.isAt(&f) {
		t.Error("a zone makes another address")
	}
	zone.Addr = netip.MustParseAddrPort("[fe80::1%3]:5060")
	for from, want := range map[string]bool{"[fe80::1%3]:5060": true, "[fe80::1%4]:5060": false,
		"[fe80::1%3]:5061": false} {
		if f := flowFrom(from); zone.isAt(&f) != want {
			t.Errorf("%s is at %s: %t", from, zone.Addr, !want)
		}
	}
}

// TestCaller asks whom a token is made for.
func TestCaller(t *testing.T) {
	const home, far = "192.0.2.1:5060", "203.0.113.1:5060"
	s := newRegistrar(t, map[string][]string{"alice": {"sip:alice@192.0.2.1 " + home}})
	for _, test := range []struct {
		from, uri, user string
		registered      bool
		want            uint32
	}{
		{home, "sip:alice@example.com", "", true, Identity("alice@example.com")},
		{home, "sip:ALICE@example.com", "", false, 0},
		{far, "sip:alice@example.com", "", false, 0},
		{far, "sip:alice@example.com", "alice", false, Identity("alice@example.com")},
		{far, "sip:alice@elsewhere.example", "alice", false, Identity("alice")},
		{far, "sip:alice@elsewhere.example", "", false, 0},
	} {
		m, f := within(t, "INVITE", "sip:alice@example.com", test.uri), flowFrom(test.from)
		if got := s.Registered(m, &f); got != test.registered {
			t.Errorf("%s from %s is registered: %t", test.uri, test.from, got)
		}
		if got := s.Caller(m, Sender{Flow: f, User: test.user}); got != test.want {
			t.Errorf("%s from %s, as %q: %d, want %d", test.uri, test.from, test.user, got, test.want)
		}
	}
}

// TestMoved looks for the binding of a user who has registered from elsewhere since the call began.
func TestMoved(t *testing.T) {
	const before, now = "192.0.2.2:5060", "198.51.100.2:5060"
	s := newRegistrar(t, map[string][]string{"bob": {"sip:bob@10.0.0.2;ob " + now, "sip:bob@10.0.0.3 " + before}})
	bob := Identity("bob@example.com")
	for _, test := range []struct {
		name, uri, to, at string
		user              uint32
		next              bool
		want              string
	}{
		{name: "his Contact, from elsewhere", uri: "sip:bob@10.0.0.2;ob", at: before, user: bob, want: "sip:bob@10.0.0.2;ob"},
		{name: "the same, written otherwise", uri: "sip:%62ob@10.0.0.2;OB", at: before, user: bob, want: "sip:bob@10.0.0.2;ob"},
		{name: "his Contact, from where he was", uri: "sip:bob@10.0.0.3", at: before, user: bob},
		{name: "the same user, by another transport", uri: "sip:bob@10.0.0.3", at: "tcp/" + before, user: bob, want: "sip:bob@10.0.0.3"},
		{name: "no Contact of his", uri: "sip:bob@10.0.0.4", at: before, user: bob},
		{name: "an end of nobody", uri: "sip:bob@10.0.0.2;ob", at: before},
		{name: "an end of somebody else", uri: "sip:bob@10.0.0.2;ob", at: before, user: bob + 1},
		{name: "to another user", uri: "sip:bob@10.0.0.2;ob", to: "sip:carol@example.com", at: before, user: bob},
		{name: "to another domain", uri: "sip:bob@10.0.0.2;ob", to: "sip:bob@elsewhere.example", at: before, user: bob},
		{name: "by another proxy", uri: "sip:bob@10.0.0.2;ob", at: before, user: bob, next: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := within(t, "BYE", "sip:bob@example.com", cmp.Or(test.to, "sip:bob@example.com"))
			uri, err := wire.ParseURI([]byte(test.uri))
			if err != nil {
				t.Fatal(err)
			}
			at := flowFrom(test.at)
			got := ""
			if b := s.Moved(m, &Routes{URI: uri, To: End{Hop: Hop{at.Network, at.Remote}, User: test.user}, HasNext: test.next}); b != nil {
				got = b.Contact()
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestTransferTold lets a NOTIFY about a transfer through after the call that was transferred, and
// nothing else.
func TestTransferTold(t *testing.T) {
	s := newSigner("secret")
	call := Call{ID: 1, Dialog: 3, Invite: true}
	token := Token{Made: s.Calls.Now(), ID: 1, Invite: true}
	notify := func(event string) *wire.Message { return within(t, "NOTIFY", "Call-ID", "Event: "+event+"\r\nCall-ID") }
	check := func(m *wire.Message, want Standing) {
		t.Helper()
		if got := s.judgeTime(m, &token, &call); got != want {
			t.Errorf("got %d, want %d for\n%s", got, want, m.Raw)
		}
	}
	check(within(t, "BYE"), Admitted)
	s.Calls.End(call)
	check(notify("refer"), Over) // of which nobody knows
	s.Calls.BeginTransfer(call)
	for _, event := range []string{"refer", "Refer;id=1", "REFER ; id=1"} {
		check(notify(event), Admitted)
	}
	for _, m := range []*wire.Message{within(t, "BYE"), within(t, "NOTIFY"), notify("dialog"), notify("refer2"), notify(";refer")} {
		check(m, Over)
	}
	s.Calls.EndTransfer(call)
	check(notify("refer"), Over)
	token.Made = s.Calls.Now() - uint32(lifetime.Seconds())
	check(notify("refer"), None)
}

func TestIsOurs(t *testing.T) {
	s := newSigner("secret")
	for uri, want := range map[string]bool{
		"sip:example.com": true, "sip:x@example.com": true, "sips:192.0.2.10": true, "sip:x@example.com:5060;lr": true,
		"sip:example.com:5070": false, "sip:elsewhere.example": false, "tel:1": false, "im:x@example.com": false,
		"sip:example.com;maddr=192.0.2.10": true, "sip:example.com;maddr=203.0.113.1": false, "sip:example.com;maddr=": false,
	} {
		u, err := wire.ParseURI([]byte(uri))
		if err != nil {
			t.Fatal(err)
		}
		if got := IsOurs(s.Site, &u); got != want {
			t.Errorf("%s: %t", uri, got)
		}
	}
}

// TestStrictRouter has a request back whose Request-URI a strict router has moved to the end of the
// Route.
func TestStrictRouter(t *testing.T) {
	s := newSigner("secret")
	token := func(id uint64) string {
		return string(s.Append(nil, &Token{Caller: udpEnd("192.0.2.1:5060"), Callee: udpEnd("192.0.2.2:5060"), Made: s.Calls.Now(), ID: id, Invite: true},
			[]byte("call"), []byte("a")))
	}
	ours, again := "sip:"+token(1)+"@192.0.2.10;lr", "<sip:"+token(1)+"@192.0.2.10;transport=tcp;lr>"
	for _, test := range []struct {
		name, uri, routes string
		unstrict          bool
		target            string
		pop               int
		next              string
		err               bool
	}{
		{"one strict router", ours, "<sip:bob@192.0.2.2>", true, "sip:bob@192.0.2.2", 0, "", false},
		{"and the token of the other socket", ours, again + ", <sip:bob@192.0.2.2>", true, "sip:bob@192.0.2.2", 1, "", false},
		{"and another proxy", ours, "<sip:other.example;lr>, <sip:bob@192.0.2.2>", true, "sip:bob@192.0.2.2", 0, "sip:other.example;lr", false},
		{"without lr", "sip:" + token(1) + "@192.0.2.10", "<sip:other.example;lr>, <sip:bob@192.0.2.2>", false, "sip:" + token(1) + "@192.0.2.10", 0,
			"sip:other.example;lr", false},
		{"with a token of another call", "sip:AAAA@192.0.2.10;lr", "<sip:other.example;lr>", false, "sip:AAAA@192.0.2.10;lr", 0, "sip:other.example;lr", false},
		{"and no address behind it", ours, "<sip:other.example;lr>, <bob>", true, "", 0, "", true},
		{"no address", "sip:bob@192.0.2.2", "<>", false, "", 0, "", true},
		{"no URI", "sip:bob@192.0.2.2", "<other>", false, "", 0, "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := within(t, "BYE", "sip:bob@192.0.2.2", test.uri, "Call-ID", fmt.Sprintf("Route: %s\r\nCall-ID", test.routes))
			uri, err := wire.ParseURI(m.RequestURI())
			if err != nil {
				t.Fatal(err)
			}
			rs, err := s.ReadRoutes(m, &uri, Sender{Flow: flowFrom("192.0.2.1:5060")})
			if (err != nil) != test.err {
				t.Fatal(err)
			}
			if test.err {
				return
			}
			if rs.Unstrict != test.unstrict || string(rs.URI.Raw) != test.target || rs.Pop != test.pop || string(rs.Next.Raw) != test.next {
				t.Errorf("got %t, %s, %d values, next %s", rs.Unstrict, rs.URI.Raw, rs.Pop, rs.Next.Raw)
			}
			if standing := rs.Standing == Admitted; standing != test.unstrict {
				t.Errorf("the token is good: %t", standing)
			}
		})
	}
	// Without a Route there is nothing to undo.
	m := within(t, "BYE", "sip:bob@192.0.2.2", ours)
	uri, _ := wire.ParseURI(m.RequestURI())
	if rs, err := s.ReadRoutes(m, &uri, Sender{}); err != nil || rs.Unstrict || rs.Pop != 0 {
		t.Errorf("got %+v, %v", rs, err)
	}
}
