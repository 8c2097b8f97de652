package match

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/module/moduletest"
)

func init() {
	caddy.RegisterModule(found{})
}

// found is a handler that tells that the matchers in front of it have matched.
type found struct{}

const foundStatus = 299

func (found) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.handlers.found", New: func() caddy.Module { return new(found) }}
}

func (found) ServeSIP(w module.ResponseWriter, _ *module.Request, _ module.Next) error {
	return module.Respond(w, foundStatus, "")
}

// config returns the JSON of an app whose one route has the matchers in front of found.
func config(t testing.TB, matchers string) (string, error) {
	t.Helper()
	d := caddyfile.NewTestDispenser(matchers)
	d.Next()
	set, err := ParseSet(d, strings.TrimPrefix(d.Val(), "@"))
	if err != nil {
		return "", err
	}
	raw, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return `{"domains": ["example.com"], "servers": {"srv0": {"listen": ["udp/192.0.2.10:5060"],
		"routes": [{"match": [` + string(raw) + `], "handle": [{"handler": "found"}]}]}}}`, nil
}

func server(t testing.TB, matchers string) *module.Server {
	t.Helper()
	c, err := config(t, matchers)
	if err != nil {
		t.Fatalf("parsing %s: %v", matchers, err)
	}
	return moduletest.App(t, c).Servers["srv0"]
}

// edited returns moduletest.Invite with old replaced by new.
func edited(t testing.TB, oldnew ...string) string {
	t.Helper()
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(moduletest.Invite, oldnew[i]) {
			t.Fatalf("the request has no %q", oldnew[i])
		}
	}
	return strings.NewReplacer(oldnew...).Replace(moduletest.Invite)
}

func TestMatchers(t *testing.T) {
	agent := "User-Agent: snomD785/10.1.159.12\n"
	const nobody = "User-Agent: x\n"
	for _, tc := range []struct {
		name     string
		matchers string
		yes, no  [][]string // edits of the request
		from     string
	}{
		{
			name: "method", matchers: "@x method MESSAGE INVITE",
			yes: [][]string{nil, {"INVITE", "MESSAGE"}},
			no:  [][]string{{"INVITE", "BYE"}, {"INVITE", "Invite"}, {"INVITE", "INVITEX"}},
		},
		{
			name: "methods that only the configuration knows", matchers: "@x method FROBNICATE",
			yes: [][]string{{"INVITE", "FROBNICATE"}}, no: [][]string{nil},
		},
		{
			name: "uri_user", matchers: "@x uri_user 100 4?1",
			yes: [][]string{nil, {"INVITE sip:431", "INVITE sip:100"}, {"INVITE sip:431", "INVITE sip:4%331"}, {"sip:431@example.com SIP", "tel:431 SIP"}},
			no:  [][]string{{"INVITE sip:431@", "INVITE sip:"}, {"INVITE sip:431", "INVITE sip:4311"}, {"INVITE sip:431", "INVITE sip:1000"}},
		},
		{
			name: "uri_user decodes escapes once", matchers: `@x uri_user "#431"`,
			yes: [][]string{{"INVITE sip:431", "INVITE sip:%23431"}}, no: [][]string{{"INVITE sip:431", "INVITE sip:%2523431"}},
		},
		{
			name: "uri_user has case", matchers: "@x uri_user Alice",
			yes: [][]string{{"INVITE sip:431", "INVITE sip:Alice"}}, no: [][]string{{"INVITE sip:431", "INVITE sip:alice"}},
		},
		{
			name: "uri_host", matchers: "@x uri_host *.example.com EXAMPLE.com [2001:db8::*]",
			yes: [][]string{nil, {"431@example.com SIP", "431@PBX.Example.Com:5062 SIP"}, {"431@example.com SIP", "431@[2001:db8::1]:5062 SIP"}},
			no:  [][]string{{"431@example.com SIP", "431@example.org SIP"}, {"sip:431@example.com SIP", "tel:431 SIP"}},
		},
		{
			name: "uri_host without brackets", matchers: "@x uri_host 2001:db8::1",
			yes: [][]string{{"431@example.com SIP", "431@[2001:db8::1]:5062 SIP"}}, no: [][]string{nil},
		},
		{
			name: "from", matchers: "@x {\n from_user ali*\n from_host example.com\n}",
			yes: [][]string{nil}, no: [][]string{{"<sip:alice", "<sip:bob"}, {"alice@Example.com", "alice@example.org"}},
		},
		{
			name: "to", matchers: "@x {\n to_user 431\n to_host example.com\n}",
			yes: [][]string{nil, {"INVITE sip:431", "INVITE sip:9"}}, no: [][]string{{"<sip:431", "<sip:432"}, {"<sip:431@example.com", "<sip:431@example.org"}},
		},
		{
			name: "uri_regexp", matchers: `@x uri_regexp ^sip:4[0-9]{2}@`,
			yes: [][]string{nil}, no: [][]string{{"INVITE sip:431", "INVITE sip:4311"}},
		},
		{
			name: "user_agent", matchers: "@x user_agent *SNOM* Yealink*",
			yes: [][]string{nil, {"snomD785/", "yealink T4/"}, {agent, "user-agent: snom\n"}}, no: [][]string{{"snomD785/10", "Linphone"}},
		},
		{
			name: "user_agent is there", matchers: "@x user_agent *",
			yes: [][]string{nil, {agent, "User-Agent:\n"}}, no: [][]string{{agent, ""}},
		},
		{
			name: "header by its long name", matchers: "@x header Subject urgent*",
			yes: [][]string{{agent, "Subject: urgent!\n"}, {agent, "s: urgent\n"}, {agent, "SUBJECT :urgent\n"}, {agent, "Subject: x\nSubject: urgent\n"}},
			no:  [][]string{nil, {agent, "Subject: not urgent\n"}, {agent, "Subject: Urgent\n"}, {agent, "X-Subject: urgent\n"}},
		},
		{
			name: "header by its compact name", matchers: "@x header k path timer",
			yes: [][]string{{agent, "Supported: 100rel, path\n"}, {agent, "k: timer,100rel\n"}, {agent, "Supported: 100rel\nk: x\nSupported: path\n"}},
			no:  [][]string{nil, {agent, "Supported: 100rel\n"}, {agent, "Supported: \"a, path\"\n"}},
		},
		{
			name: "header of one line with commas", matchers: `@x header Date "Mon, 01*"`,
			yes: [][]string{{agent, "Date: Mon, 01 Jan 2024 00:00:00 GMT\n"}}, no: [][]string{{agent, "Date: Tue, 01 Jan 2024 00:00:00 GMT\n"}},
		},
		{
			name: "header folded", matchers: `@x header Subject "urgent    matter"`,
			yes: [][]string{{agent, "Subject: urgent\n  matter\n"}}, no: [][]string{{agent, "Subject: urgent\n"}},
		},
		{
			name: "header is there", matchers: "@x header Subject",
			yes: [][]string{{agent, "Subject: x\n"}, {agent, "s:\n"}}, no: [][]string{nil},
		},
		{
			name: "header is not there", matchers: "@x header !s",
			yes: [][]string{nil}, no: [][]string{{agent, "Subject: x\n"}},
		},
		{
			name: "headers together", matchers: "@x {\n header Subject a\n header Subject b\n header Priority urgent\n}",
			yes: [][]string{{agent, "Subject: b\nPriority: urgent\n"}}, no: [][]string{{agent, "Subject: b\n"}, {agent, "Subject: c\nPriority: urgent\n"}},
		},
		{
			name: "header_regexp", matchers: `@x header_regexp User-Agent (?i)^SNOM`,
			yes: [][]string{nil, {agent, agent + nobody}, {agent, nobody + agent}}, no: [][]string{{"snomD785", "Linphone"}, {agent, ""}},
		},
		{name: "remote_ip", matchers: "@x remote_ip 10.0.0.0/8 private_ranges", from: "10.1.2.3:5060", yes: [][]string{nil}},
		{name: "remote_ip mapped", matchers: "@x remote_ip 10.0.0.0/8", from: "[::ffff:10.1.2.3]:5060", yes: [][]string{nil}},
		{name: "remote_ip IPv6", matchers: "@x remote_ip private_ranges", from: "[fd00::1]:5060", yes: [][]string{nil}},
		{name: "remote_ip zone", matchers: "@x remote_ip fe80::/10", from: "[fe80::1%2]:5060", yes: [][]string{nil}},
		{name: "remote_ip one address", matchers: "@x remote_ip 192.0.2.1", from: "192.0.2.1:5060", yes: [][]string{nil}},
		{name: "remote_ip of others", matchers: "@x remote_ip private_ranges 192.0.2.1", from: "192.0.2.2:5060", no: [][]string{nil}},
		{name: "transport", matchers: "@x transport tcp udp", yes: [][]string{nil}},
		{name: "transport of others", matchers: "@x transport tcp tls ws wss", no: [][]string{nil}},
		{
			name: "in_dialog", matchers: "@x in_dialog",
			yes: [][]string{{"To: <sip:431@example.com>", "To: <sip:431@example.com>;tag=t"}}, no: [][]string{nil},
		},
		{name: "registered", matchers: "@x registered", no: [][]string{nil}},
		{name: "not registered", matchers: "@x not registered from", yes: [][]string{nil}},
		{name: "authenticated", matchers: "@x authenticated", no: [][]string{nil}},
		{
			name: "not", matchers: "@x not method BYE CANCEL",
			yes: [][]string{nil}, no: [][]string{{"INVITE", "BYE"}},
		},
		{
			name: "not, several", matchers: "@x {\n not method BYE\n not user_agent linphone*\n}",
			yes: [][]string{nil}, no: [][]string{{"INVITE", "BYE"}, {"snomD785", "Linphone"}},
		},
		{
			name: "not, together", matchers: "@x not {\n method BYE\n user_agent linphone*\n}",
			yes: [][]string{nil, {"INVITE", "BYE"}, {"snomD785", "Linphone"}}, no: [][]string{{"INVITE", "BYE", "snomD785", "Linphone"}},
		},
		{
			name: "expression", matchers: "@x `{sip.method} == \"INVITE\" && int({sip.uri.user}) > 430`",
			yes: [][]string{nil}, no: [][]string{{"INVITE", "BYE"}, {"INVITE sip:431", "INVITE sip:430"}},
		},
		{
			name: "expression unquoted", matchers: `@x expression {sip.method} in ["INVITE", "BYE"]`,
			yes: [][]string{nil, {"INVITE", "BYE"}}, no: [][]string{{"INVITE", "MESSAGE"}},
		},
		{name: "expression over nothing", matchers: "@x `{sip.vars.nothing} == null`", yes: [][]string{nil}},
		{name: "vars placeholder", matchers: "@x vars {sip.from.user} bob alice", yes: [][]string{nil}, no: [][]string{{"sip:alice", "sip:eve"}}},
		{name: "vars unset", matchers: "@x vars number 1", no: [][]string{nil}},
		{
			name: "all of a set", matchers: "@x {\n method INVITE\n uri_user 4*\n user_agent *snom*\n}",
			yes: [][]string{nil}, no: [][]string{{"INVITE", "BYE"}, {"INVITE sip:431", "INVITE sip:1"}, {"snomD785", "x"}},
		},
		{
			name: "a placeholder", matchers: "@x to_user {sip.uri.user}",
			yes: [][]string{nil}, no: [][]string{{"INVITE sip:431", "INVITE sip:432"}},
		},
		{
			name: "a placeholder is no pattern", matchers: "@x from_user {sip.to.user}",
			yes: [][]string{{"<sip:431", "<sip:alice"}}, no: [][]string{nil, {"<sip:431", "<sip:*"}, {"<sip:431", "<sip:%3Flice"}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := server(t, tc.matchers)
			options := []moduletest.Option{moduletest.To(s)}
			if tc.from != "" {
				options = append(options, moduletest.From(tc.from))
			}
			check := func(edits []string, want bool) {
				t.Helper()
				var w moduletest.Recorder
				s.Serve(&w, moduletest.Request(t, edited(t, edits...), options...))
				if got := w.Status() == foundStatus; got != want || w.Status() == 500 {
					t.Errorf("edits %q: matched %v, status %d", edits, got, w.Status())
				}
			}
			for _, e := range tc.yes {
				check(e, true)
			}
			for _, e := range tc.no {
				check(e, false)
			}
		})
	}
}

func TestExpressionError(t *testing.T) {
	s := server(t, "@x `int({sip.uri.user}) > 1`")
	var w moduletest.Recorder
	s.Serve(&w, moduletest.Request(t, edited(t, "INVITE sip:431", "INVITE sip:alice"), moduletest.To(s)))
	if w.Status() != 500 {
		t.Errorf("status %d, want 500", w.Status())
	}
}

func TestExpressionJSON(t *testing.T) {
	for in, ok := range map[string]bool{
		`"true"`: true, `{"expr": "true"}`: true, `{"exp": "true"}`: false, `1`: false, `["true"]`: false,
	} {
		var m MatchExpression
		if err := json.Unmarshal([]byte(in), &m); (err == nil) != ok || ok && m.Expr != "true" {
			t.Errorf("%s: %q, %v", in, m.Expr, err)
		}
	}
}

func TestCaptures(t *testing.T) {
	for _, tc := range []struct{ matchers, text, want string }{
		{`@num uri_regexp sip:(4)(?P<rest>[0-9]+)@`, "{sip.regexp.num.1} {sip.regexp.num.rest} {sip.regexp.2} {sip.regexp.0}", "4 31 31 sip:431@"},
		{`@num uri_regexp re (4)`, "{sip.regexp.re.1}{sip.regexp.num.1}", "4"},
		{`@num header_regexp ua user-agent snom(D[0-9]+)`, "{sip.regexp.ua.1}", "D785"},
		{"@num {\n uri_regexp (x)?4\n}", "<{sip.regexp.num.1}>", "<>"},
	} {
		s := server(t, tc.matchers)
		r := moduletest.Request(t, moduletest.Invite, moduletest.To(s))
		var w moduletest.Recorder
		s.Serve(&w, r)
		if got := r.Replace(tc.text); w.Status() != foundStatus || got != tc.want {
			t.Errorf("%s: status %d, got %q, want %q", tc.matchers, w.Status(), got, tc.want)
		}
	}
}

func TestVariablesAndUsers(t *testing.T) {
	for _, tc := range []struct {
		matcher module.Matcher
		user    string
		number  any
		want    bool
	}{
		{matcher: MatchAuthenticated{}, user: "alice", want: true},
		{matcher: MatchAuthenticated{"bob", "alice"}, user: "alice", want: true},
		{matcher: MatchAuthenticated{"{sip.from.user}"}, user: "alice", want: true},
		{matcher: MatchAuthenticated{"{sip.from.user}"}, user: "eve", want: false},
		{matcher: MatchAuthenticated{"*"}, user: "alice", want: false},
		{matcher: MatchAuthenticated{""}, user: "", want: false},
		{matcher: MatchVars{"number": {"9", "10"}}, number: 10, want: true},
		{matcher: MatchVars{"number": {"{sip.from.user}"}}, number: "alice", want: true},
		{matcher: MatchVars{"number": {"9"}, "other": {"1"}}, number: "9", want: false},
	} {
		r := moduletest.Request(t, moduletest.Invite)
		if tc.user != "" {
			r.SetAuthUser(tc.user)
		}
		r.SetVar("number", tc.number)
		if got, err := tc.matcher.Match(r); got != tc.want || err != nil {
			t.Errorf("%T %v with user %q and number %v: %v, %v", tc.matcher, tc.matcher, tc.user, tc.number, got, err)
		}
	}
}
