package placeholders

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "github.com/caddysip/caddysip"
	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/phone"
	"github.com/caddysip/caddysip/internal/sip/digest"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/logging" // logs to files
)

// option is an option, with {env.V} for its value.
type option struct {
	path string // as walk has it
	text string // directives of a server; behind "app:", options of sip
	v    any    // what {env.V} is: a text, or a function that makes it; nil: the option is refused
	ask  func(*run) string
	want string // what ask's outcome has
}

// parts returns the options of sip, and the directives of a server.
func (o *option) parts() (app, server string) {
	app, ofApp := strings.CutPrefix(o.text, "app:")
	if !ofApp {
		return "", o.text
	}
	if app, ofApp = strings.CutSuffix(app, "register"); ofApp {
		return app, "register"
	}
	return app, "respond 404"
}

// run is a running server with the option.
type run struct {
	*testing.T
	*handlertest.Server
	dir, log string
	socket   net.PacketConn
}

func matcher(path, line, v string) option {
	return option{"sip.matchers." + path, "@m " + line + "\nrespond @m 281\nrespond 282", v, (*run).options,
		"SIP/2.0 281 "}
}

func refused(path, text string) option { return option{path: path, text: text} }

var list = []option{
	{"sip.domains", "app:domain {env.V}\nregister", "office.example", (*run).registerAtDomain, "SIP/2.0 200 "},
	{"sip.servers.trust", "trust {env.V}\nregister", "127.0.0.0/8", (*run).registerPath,
		"Path: <sip:127.0.0.1:5061;lr>"},
	{"sip.servers.advertise", "advertise {env.V}\nsnom_lrc {\nuser_agent *\nlight 801 on\n}", "203.0.113.7",
		(*run).lamp, "Via: SIP/2.0/UDP 203.0.113.7"},
	refused("sip.servers.keepalive.interval", "keepalive {env.V}"),
	refused("sip.servers.keepalive.method", "keepalive 25s {env.V}"),
	{"sip.servers.logs.logger_name", "log {env.V}\nrespond 281", "office", (*run).logged,
		`"logger":"sip.log.access.office"`},
	{"sip.keys.profiles.name", "app:keys {\nprofile {env.V} {\n}\n}\n", "office",
		func(r *run) string { return r.App().Keys.Profiles[0].Name }, "office"},
	profile("users", "users {env.V}\nkey 1 {\nlabel x\n}", "1*", "l=x"),
	profile("user_agents", "user_agent {env.V}\nkey 1 {\nlabel x\n}", "snom*", "l=x"),
	profile("models", "model {env.V}\nkey 1 {\nlabel x\n}", "D785", "l=x"),
	{"sip.keys.profiles.members_file", "app:keys {\nphones Office*\nprofile a {\nmembers from {env.V}\nkey 1 {\n" +
		"label x\n}\n}\n}\nregister",
		file("101\n"), (*run).key, "l=x"},
	profile("keys.label", "key 1 {\nlabel \"at {env.V}\"\n}", "the gate", "l=at the gate"),
	profile("keys.number", "key 1 {\nnumber {env.V}\n}", "77", "n=77"),
	refused("sip.keys.profiles.keys.key", "app:keys {\nprofile a {\nkey {env.V} {\nlabel x\n}\n}\n}\n"),
	refused("sip.keys.profiles.keys.light", "app:keys {\nprofile a {\nkey 1 {\nlight {env.V}\n}\n}\n}\n"),
	refused("sip.keys.profiles.keys.color", "app:keys {\nprofile a {\nkey 1 {\ncolor {env.V}\n}\n}\n}\n"),
	refused("sip.keys.profiles.keys.action", "app:keys {\nprofile a {\nkey 1 {\naction {env.V}\n}\n}\n}\n"),
	refused("sip.keys.profiles.keys.locked", "app:keys {\nprofile a {\nkey 1 {\nlocked {env.V}\n}\n}\n}\n"),
	refused("sip.keys.models.name", "app:keys {\nmodel {env.V} {\nkeys 9\n}\n}\n"),
	refused("sip.keys.models.keys", "app:keys {\nmodel X9 {\nkeys {env.V}\n}\n}\n"),
	refused("sip.keys.models.colors", "app:keys {\nmodel X9 {\nkeys 9\ncolors {env.V}\n}\n}\n"),
	refused("sip.keys.batch", "app:keys {\nbatch {env.V}\n}\n"),
	refused("sip.keys.rate", "app:keys {\nrate {env.V}\n}\n"),
	{"sip.keys.credentials.realm", credentials("realm {env.V}\npassword x-{user}"), "office", (*run).credentials,
		"office"},
	{"sip.keys.credentials.username", credentials("realm x\nusername {env.V}\npassword x-{user}"), "office",
		(*run).credentials, "office"},
	{"sip.keys.credentials.password", credentials("realm x\npassword {env.V}-{user}"), "office", (*run).credentials,
		"office-{user}"},
	{"sip.keys.phones", "app:keys {\nphones {env.V}\nprofile a {\nkey 1 {\nlabel x\n}\n}\n}\nregister", "Office*",
		(*run).officeKey, "l=x"},
	refused("sip.grace_period", "app:grace_period {env.V}\n"),
	refused("sip.servers.listen", "app:{env.V}:5060 {\nrespond 404\n}\n"),
	refused("sip.servers.limits.datagram", "limits {\ndatagram {env.V}\n}"),
	refused("sip.servers.limits.message", "limits {\nmessage {env.V}\n}"),
	refused("sip.servers.limits.headers", "limits {\nheaders {env.V}\n}"),
	refused("sip.servers.limits.message_timeout", "limits {\nmessage_timeout {env.V}\n}"),
	refused("sip.servers.limits.idle_timeout", "limits {\nidle_timeout {env.V}\n}"),
	refused("sip.servers.limits.connections", "limits {\nconnections {env.V}\n}"),
	refused("sip.servers.limits.connections_per_source", "limits {\nconnections_per_source {env.V}\n}"),
	refused("sip.servers.limits.transactions", "limits {\ntransactions {env.V}\n}"),
	refused("sip.servers.limits.registrations", "limits {\nregistrations {env.V}\n}"),
	refused("sip.servers.limits.registration_bytes", "limits {\nregistration_bytes {env.V}\n}"),
	refused("sip.servers.limits.memory", "limits {\nmemory {env.V}\n}"),
	{"sip.storage.bolt.path", "app:storage bolt {env.V}\n",
		func(r *run) string { return filepath.Join(r.dir, "my.db") },
		func(r *run) string { return r.stat("my.db") }, "my.db"},

	{"sip.handlers.digest_auth.realm", "digest_auth {\nrealm {env.V}\nuser 101 secret-of-101\n}", "office",
		(*run).options, `realm="office"`},
	{"sip.handlers.digest_auth.users.name", "digest_auth {\nuser {env.V} secret-of-101\n}\nregister", "101",
		(*run).authenticate, "registered"},
	{"sip.handlers.digest_auth.users.password", "digest_auth {\nuser 101 {env.V}\n}\nregister", "secret-of-101",
		(*run).authenticate, "registered"},
	{"sip.handlers.digest_auth.users.ha1", "digest_auth {\nrealm office\nuser 101 MD5:{env.V}\n}\nregister",
		digest.HA1(digest.MD5, "101", "office", "secret-of-101"), (*run).authenticate, "registered"},
	{"sip.handlers.digest_auth.users_file", "digest_auth {\nrealm office\nusers_file {env.V}\n}\nregister",
		file("101:office:MD5:" + digest.HA1(digest.MD5, "101", "office", "secret-of-101") + "\n"), (*run).authenticate,
		"registered"},
	refused("sip.handlers.digest_auth.algorithms", "digest_auth {\nuser 101 secret-of-101\nalgorithm {env.V}\n}"),
	{"sip.handlers.digest_auth.clients.user_agent",
		"digest_auth {\nuser 101 secret-of-101\nalgorithm {env.V} MD5\nalgorithm SHA-256\n}", "office*", (*run).options,
		"algorithm=MD5"},
	refused("sip.handlers.digest_auth.clients.algorithms",
		"digest_auth {\nuser 101 secret-of-101\nalgorithm old* {env.V}\n}"),
	refused("sip.handlers.digest_auth.nonce_lifetime",
		"digest_auth {\nuser 101 secret-of-101\nnonce_lifetime {env.V}\n}"),
	refused("sip.handlers.digest_auth.identity", "digest_auth {\nuser 101 secret-of-101\nidentity {env.V}\n}"),
	refused("sip.handlers.digest_auth.uri", "digest_auth {\nuser 101 secret-of-101\nuri {env.V}\n}"),
	refused("sip.handlers.digest_auth.failures", "digest_auth {\nuser 101 secret-of-101\nfailures {env.V}\n}"),
	refused("sip.handlers.digest_auth.failure_window", "digest_auth {\nuser 101 secret-of-101\nfailures 20 {env.V}\n}"),
	refused("sip.handlers.digest_auth.ban", "digest_auth {\nuser 101 secret-of-101\nban {env.V}\n}"),
	{"sip.handlers.error.status", "error {env.V}", "433", (*run).options, "SIP/2.0 433 "},
	{"sip.handlers.error.message", "error 433 {env.V}\nhandle_errors {\nrespond 433 {sip.error.message}\n}", "office",
		(*run).options, ": office"},
	refused("sip.handlers.header.delete", "header -{env.V}"),
	{"sip.handlers.header.set", "header Subject {env.V}\nrespond 281 {sip.header.Subject}", "office", (*run).options,
		"SIP/2.0 281 office"},
	{"sip.handlers.header.add", "header +Priority {env.V}\nrespond 281 {sip.header.Priority}", "office", (*run).options,
		"SIP/2.0 281 office"},
	refused("sip.handlers.header.set", "header {env.V} x"),
	refused("sip.handlers.invoke.name", "invoke {env.V}"),
	refused("sip.handlers.log_append.key", "log_append {env.V} x"),
	{"sip.handlers.log_append.value", "log\nlog_append k {env.V}\nrespond 281", "office", (*run).logged,
		`"k":"office"`},
	{"sip.handlers.proxy.to", "proxy {env.V}", (*run).upstream, (*run).relayed, "OPTIONS sip:801@"},
	refused("sip.handlers.proxy.timeout", "proxy {\ntimeout {env.V}\n}"),
	refused("sip.handlers.proxy.no_response", "proxy {\nno_response {env.V}\n}"),
	refused("sip.handlers.proxy.retries", "proxy {\nretries {env.V}\n}"),
	refused("sip.handlers.proxy.fork", "proxy {\nfork {env.V}\n}"),
	refused("sip.handlers.proxy.record_route", "proxy {\nrecord_route {env.V}\n}"),
	refused("sip.handlers.proxy.allow_control", "proxy {\nallow_control {env.V}\n}"),
	refused("sip.handlers.proxy.allow_buttons", "proxy {\nallow_buttons {env.V}\n}"),
	refused("sip.handlers.proxy.allow_private", "proxy {\nallow_private {env.V}\n}"),
	refused("sip.handlers.proxy.assert_identity", "proxy {\nassert_identity {env.V}\n}"),
	{"sip.handlers.rate_limit.zone", "rate_limit {\nzone {env.V}\nevents 1\nwindow 1h\nrespond 433\n}\nrespond 281",
		"office", (*run).limited, "zone office"},
	{"sip.handlers.rate_limit.key", "rate_limit {\nkey \"{env.V}\"\nevents 1\nwindow 1h\nrespond 433\n}\nrespond 281",
		"office", (*run).limited, `"key":"office"`},
	refused("sip.handlers.rate_limit.events", "rate_limit {\nevents {env.V}\n}"),
	refused("sip.handlers.rate_limit.window", "rate_limit {\nwindow {env.V}\n}"),
	refused("sip.handlers.rate_limit.ban", "rate_limit {\nban {env.V}\n}"),
	refused("sip.handlers.rate_limit.respond", "rate_limit {\nrespond {env.V}\n}"),
	{"sip.handlers.redirect.to", "redirect {env.V}", "sip:9@office.example", (*run).options,
		"Contact: <sip:9@office.example>"},
	refused("sip.handlers.register.min_expires", "register {\nexpires {env.V} 600 7200\n}"),
	refused("sip.handlers.register.default_expires", "register {\nexpires 60 {env.V} 7200\n}"),
	refused("sip.handlers.register.max_expires", "register {\nexpires 60 600 {env.V}\n}"),
	refused("sip.handlers.register.lift", "register {\nexpires 60 600 7200 {env.V}\n}"),
	refused("sip.handlers.register.refuse", "register {\nmax_contacts 3 {env.V}\n}"),
	refused("sip.handlers.register.max_contacts", "register {\nmax_contacts {env.V}\n}"),
	{"sip.handlers.register.path_from", "register {\npath from {env.V}\n}", "127.0.0.0/8", (*run).registerPath,
		"Path: <sip:127.0.0.1:5061;lr>"},
	refused("sip.handlers.register.path_off", "register {\npath {env.V}\n}"),
	{"sip.handlers.respond.status", "respond {env.V}", "281", (*run).options, "SIP/2.0 281 "},
	{"sip.handlers.respond.reason", "respond 281 {env.V}", "office", (*run).options, "SIP/2.0 281 office"},
	{"sip.handlers.respond.headers", "respond 281 {\nheader Subject {env.V}\n}", "office", (*run).options,
		"Subject: office"},
	{"sip.handlers.rewrite.uri", "rewrite {env.V}\nrespond 281 {sip.uri}", "sip:9@office.example", (*run).options,
		"SIP/2.0 281 sip:9@office.example"},
	{"sip.handlers.snom_lrc.user_agents", "snom_lrc {\nuser_agent {env.V}\nlight 801 on\n}", "OFFICE*", (*run).lamp,
		"c=on"},
	lamp("key", "key {env.V}", "7", "k=7"),
	lamp("press", "press {env.V}", "77", "n=77"),
	refused("sip.handlers.snom_lrc.action", "snom_lrc {\naction {env.V}\n}"),
	lamp("label", "label {env.V}", "gate", "l=gate"),
	refused("sip.handlers.snom_lrc.status", "snom_lrc {\nrespond {env.V}\n}"),
	lamp("reason", "respond 404 {env.V}", "office", "SIP/2.0 404 office"),
	lamp("from", "from {env.V}", "sip:lamp@office.example", "From: <sip:lamp@office.example>"),
	{"sip.handlers.snom_lrc.lights.number", "snom_lrc {\nuser_agent *\nlight {env.V} on\n}", "801", (*run).lamp,
		"c=on"},
	refused("sip.handlers.snom_lrc.lights.light", "snom_lrc {\nlight 801 {env.V}\n}"),
	refused("sip.handlers.snom_lrc.lights.color", "snom_lrc {\nlight 801 on {env.V}\n}"),
	{"sip.handlers.vars", "vars a {env.V}\nrespond 281 {sip.vars.a}", "office", (*run).options, "SIP/2.0 281 office"},
	refused("sip.handlers.vars", "vars {env.V} x"),

	{"sip.matchers.authenticated", "digest_auth {\nuser 101 secret-of-101\n}\n@m authenticated {env.V}\n" +
		"respond @m 481\nregister", "101", (*run).authenticate, "481"},
	matcher("expression.expr", "expression `{sip.uri.user} == {env.V}`", "801"),
	matcher("from_host", "from_host {env.V}", "127.*"),
	matcher("from_user", "from_user {env.V}", "1?1"),
	matcher("header", "header Subject {env.V}", "*about*"),
	refused("sip.matchers.header", "@m header {env.V} x\nrespond @m 281"),
	refused("sip.matchers.header_regexp.name", "@m header_regexp {env.V} Subject x\nrespond @m 281"),
	matcher("header_regexp.pattern", "header_regexp Subject ^all.{env.V}", "[a-b]bout"),
	{"sip.matchers.key_pressed", "register\n@m key_pressed {env.V}\nrespond @m 281\nrespond 282", "4", (*run).press,
		"SIP/2.0 281 "},
	matcher("method", "method {env.V}", "OPTIONS"),
	refused("sip.matchers.registered.from", "@m registered {env.V}\nrespond @m 281"),
	matcher("remote_ip.ranges", "remote_ip {env.V}", "127.0.0.0/8"),
	matcher("to_host", "to_host {env.V}", "127.*"),
	matcher("to_user", "to_user {env.V}", "8*"),
	matcher("transport", "transport {env.V}", "udp"),
	matcher("uri_host", "uri_host {env.V}", "127.*"),
	refused("sip.matchers.uri_regexp.name", "@m uri_regexp {env.V} x\nrespond @m 281"),
	matcher("uri_regexp.pattern", "uri_regexp ^sip:{env.V}@", "[0-9]{3}"),
	matcher("uri_user", "uri_user {env.V}", "8*"),
	matcher("user_agent", "user_agent {env.V}", "office*"),
	matcher("vars", "vars {sip.uri.user} {env.V}", "801"),
}

// none are values that no option of a Caddyfile sets.
var none = []string{
	"sip.source", "sip.servers.source", "sip.servers.routes.source", "sip.servers.named_routes.source",
	"sip.keys.profiles.source",
	"sip.servers.routes.group", "sip.servers.routes.terminal", "sip.servers.named_routes.group",
	"sip.servers.named_routes.terminal",
}

// TestAll checks that the list has every option, and nothing else.
func TestAll(t *testing.T) {
	all := options()
	for _, path := range all {
		known := func(o option) bool { return o.path == path }
		if !slices.ContainsFunc(list, known) && !slices.Contains(none, path) {
			t.Errorf("%s is not in the list of this test: say what {env.NAME} does there, or that it is refused", path)
		}
	}
	for _, o := range list {
		if !slices.Contains(all, o.path) {
			t.Errorf("%s is no option", o.path)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, o := range list {
		t.Run(o.path, func(t *testing.T) {
			addr := handlertest.FreeAddr(t)
			app, server := o.parts()
			r := &run{T: t, dir: t.TempDir()}
			r.log = filepath.Join(r.dir, "log")
			text := "{\n\tadmin off\n\tlog {\n\t\toutput file " + r.log + "\n\t\tformat json\n\t}\n\tsip {\n" + app +
				"\n\t\t" + addr.String() + " {\n" + server + "\n\t\t}\n\t}\n}\n"
			switch v := o.v.(type) {
			case nil:
				t.Setenv("V", "3")
				wantRefused(t, text)
				return
			case func(*run) string:
				t.Setenv("V", v(r))
			case string:
				t.Setenv("V", v)
			}
			r.Server = handlertest.StartCaddyfile(t, addr, text)
			if got := o.ask(r); !strings.Contains(got, o.want) {
				t.Errorf("no %q:\n%s", o.want, got)
			}
		})
	}
}

var place = regexp.MustCompile(`, at Caddyfile:(\d+)$`)

// wantRefused checks that a Caddyfile is refused with the line of the option, or of what it belongs
// to.
func wantRefused(t *testing.T, text string) {
	t.Helper()
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err == nil {
		config := new(caddy.Config)
		if err = caddy.StrictUnmarshalJSON(adapted, config); err == nil {
			config.Admin = &caddy.AdminConfig{Disabled: true}
			err = caddy.Validate(config)
		}
	}
	if err == nil {
		t.Fatal("it is not refused")
	}
	m := place.FindStringSubmatch(err.Error())
	if m == nil {
		t.Fatalf("the error has no place: %v", err)
	}
	line, _ := strconv.Atoi(m[1])
	before, _, _ := strings.Cut(text, "{env.V}")
	if of := 1 + strings.Count(before, "\n"); line > of+2 || line < of-2 {
		t.Errorf("the option is in line %d: %v", of, err)
	}
}

// TestEmpty checks that a variable that is not set is an error where a value is needed.
func TestEmpty(t *testing.T) {
	t.Setenv("V", "")
	for _, path := range []string{
		"sip.domains", "sip.servers.trust", "sip.servers.logs.logger_name", "sip.keys.profiles.keys.number",
		"sip.handlers.digest_auth.realm", "sip.handlers.rate_limit.zone", "sip.matchers.user_agent",
		"sip.matchers.uri_regexp.pattern",
	} {
		o := list[slices.IndexFunc(list, func(o option) bool { return o.path == path })]
		app, server := o.parts()
		adapted := handlertest.Adapt(t, "{\n\tadmin off\n\tsip {\n"+app+"\n\t\t:5060 {\n"+server+"\n\t\t}\n\t}\n}\n")
		config := new(caddy.Config)
		if err := caddy.StrictUnmarshalJSON(adapted, config); err != nil {
			t.Fatal(err)
		}
		err := caddy.Validate(config)
		if err == nil || !strings.Contains(err.Error(), "placeholder {env.V} is empty, at Caddyfile:") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func profile(path, text, v, want string) option {
	return option{"sip.keys.profiles." + path, "app:keys {\nphones *\nprofile a {\n" + text + "\n}\n}\nregister", v,
		(*run).key, want}
}

func credentials(text string) string { return "app:keys {\ncredentials {\n" + text + "\n}\n}\n" }

func lamp(path, line, v, want string) option {
	return option{"sip.handlers.snom_lrc." + path, "snom_lrc {\nuser_agent *\nlight 801 on\n" + line + "\n}", v,
		(*run).lamp, want}
}

// file returns a function that makes a file and returns its name.
func file(text string) func(*run) string {
	return func(r *run) string {
		name := filepath.Join(r.dir, "file")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			r.Fatal(err)
		}
		return name
	}
}

// peer is a phone that has not registered.
func (r *run) peer(method, uri string, lines ...string) *handlertest.Peer {
	p := r.UDP()
	p.Send(method + " " + uri + " SIP/2.0\nVia: SIP/2.0/UDP {me};branch={branch};rport\nMax-Forwards: 70\n" +
		"From: <" + r.URI("101") + ">;tag=f\nTo: <" + r.URI("801") + ">\nCall-ID: c" + p.Addr.String() + "\nCSeq: 1 " +
		method + "\n" +
		"Contact: <sip:101@{me}>\nUser-Agent: OfficePhone/1\n" + strings.Join(lines, "\n") + "\n\n")
	return p
}

// options returns the answer to OPTIONS for 801.
func (r *run) options() string {
	return r.peer("OPTIONS", r.URI("801"), "Subject: all about it").Receive().Text
}

// registerAtDomain returns the answer to a REGISTER for office.example.
func (r *run) registerAtDomain() string {
	p := r.UDP()
	p.Send("REGISTER sip:office.example SIP/2.0\nVia: SIP/2.0/UDP {me};branch={branch};rport\nMax-Forwards: 70\n" +
		"From: <sip:101@office.example>;tag=f\nTo: <sip:101@office.example>\nCall-ID: c\nCSeq: 1 REGISTER\n" +
		"Contact: <sip:101@{me}>\n\n")
	return p.Receive().Text
}

// registerPath returns the answer to a REGISTER that came through an edge proxy.
func (r *run) registerPath() string {
	return r.peer("REGISTER", r.URI("801"), "Path: <sip:127.0.0.1:5061;lr>", "Supported: path").Receive().Text
}

// key returns the message that sets a key of a phone that has registered.
func (r *run) key() string {
	return r.Phone("101", "User-Agent: snomD785/10.1.159.12").Expect("MESSAGE").Text
}

// officeKey is key for a phone that is not a Snom.
func (r *run) officeKey() string {
	return r.Phone("101", "User-Agent: OfficePhone/1").Expect("MESSAGE").Text
}

// credentials returns what phones are answered with.
func (r *run) credentials() string {
	c := inside.AppOf(r.App()).Generation.Delivery.Credentials[0]
	return strings.Join([]string{c.Realm, c.Username, c.Password}, " ")
}

func (r *run) stat(name string) string {
	info, err := os.Stat(filepath.Join(r.dir, name))
	if err != nil {
		return err.Error()
	}
	return info.Name()
}

// authenticate returns how a phone's registration ended.
func (r *run) authenticate() string {
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	p, err := phone.New(phone.Config{Server: r.Addr.String(), User: "101", Password: "secret-of-101"})
	if err == nil {
		err = p.Start(ctx)
	}
	if err != nil {
		r.Fatal(err)
	}
	defer p.Close()
	if err := p.Register(ctx); err != nil {
		return err.Error()
	}
	return "registered"
}

// logged returns the log after an answered request.
func (r *run) logged() string {
	r.options()
	for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		text, _ := os.ReadFile(r.log)
		if strings.Contains(string(text), "handled request") || time.Now().After(deadline) {
			return string(text)
		}
	}
}

// limited returns what is known of a request over the limit.
func (r *run) limited() string {
	r.options()
	if second := r.options(); !strings.HasPrefix(second, "SIP/2.0 433 ") {
		return second
	}
	text, _ := os.ReadFile(r.log)
	if r.Metric("caddy_sip_rate_limited_total", "zone=office") > 0 {
		text = append(text, "zone office"...)
	}
	return string(text)
}

// upstream opens a socket for relayed, and returns its URI.
func (r *run) upstream() string {
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { socket.Close() })
	r.socket = socket
	return "sip:" + socket.LocalAddr().String()
}

// relayed returns what comes to the socket.
func (r *run) relayed() string {
	r.peer("OPTIONS", r.URI("801"))
	buf := make([]byte, 4096)
	_ = r.socket.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, _, err := r.socket.ReadFrom(buf)
	if err != nil {
		return err.Error()
	}
	return string(buf[:n])
}

// lamp returns the answer to a call to 801, and the message that sets a key.
func (r *run) lamp() string {
	p := r.peer("INVITE", r.URI("801"))
	text := p.Receive().Text
	if strings.HasPrefix(text, "SIP/2.0 404") {
		text += p.Expect("MESSAGE").Text
	}
	return text
}

// press returns the answer to a phone that reports that its key 4 was pressed.
func (r *run) press() string {
	p := r.Phone("101", "User-Agent: snom370/8.7.5.48")
	p.Request("MESSAGE", "sip:"+r.Addr.Addr().String(), "Content-Type: application/x-buttons", "", "k=4\n")
	return p.Receive().Text
}
