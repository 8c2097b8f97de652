package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

func TestVerdicts(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"median ratio met", `
{"server":"kamailio-fm","operation":"register","server_cpu_us":40,"operations":1}
{"server":"caddysip","operation":"register","server_cpu_us":99,"operations":1}
{"server":"kamailio-fm","operation":"register","server_cpu_us":42,"operations":1}
{"server":"caddysip","operation":"register","server_cpu_us":10,"operations":1}
{"server":"kamailio-fm","operation":"register","server_cpu_us":90,"operations":1}
{"server":"caddysip","operation":"register","server_cpu_us":14,"operations":1}`,
			"register      MET: 0.33 × Kamailio fm, target at most 0.50 ×; not compared: no figures of echo"},
		{"twice the echo", `
{"server":"echo","operation":"register","server_cpu_us":3}
{"server":"kamailio-fm","operation":"register","server_cpu_us":10}
{"server":"kamailio-default","operation":"register","server_cpu_us":50}
{"server":"caddysip","operation":"register","server_cpu_us":6.7}`,
			"register      NOT MET: 0.67 × Kamailio fm, target at most 0.50 ×; NOT MET: 2.23 × echo, target at most 2.20 ×"},
		{"over TCP", `
{"server":"kamailio-fm","operation":"call","server_cpu_us":10}
{"server":"kamailio-fm","operation":"call/tcp","server_cpu_us":100}
{"server":"caddysip","operation":"call/tcp","server_cpu_us":36}`,
			"call/tcp      NOT MET: 0.36 × Kamailio fm, target at most 0.35 ×"},
		{"ratio not met", `
{"server":"kamailio-fm","operation":"call","server_cpu_us":100}
{"server":"caddysip","operation":"call","server_cpu_us":51}`,
			"call          NOT MET: 0.51 × Kamailio fm, target at most 0.45 ×"},
		{"wrong answers", `
{"server":"kamailio-fm","operation":"options","server_cpu_us":100}
{"server":"caddysip","operation":"options","server_cpu_us":1,"errors":1,"error_samples":["bad tag"]}`,
			"options       NOT MET: caddysip gave wrong answers"},
		{"Kamailio's wrong answers", `
{"server":"kamailio-fm","operation":"options","server_cpu_us":100,"errors":1}
{"server":"caddysip","operation":"options","server_cpu_us":1}`,
			"options       not compared: wrong answers of Kamailio fm"},
		{"unavailable", `{"server":"caddysip","operation":"lrc","unavailable":"no answer"}`,
			"lrc           NOT MET: caddysip cannot do it: no answer"},
		{"alone", `{"server":"caddysip","operation":"lrc","server_cpu_us":1}`,
			"lrc           not compared: no figures of Kamailio fm"},
		{"memory", `{"server":"caddysip","operation":"memory","bytes_per_registration":351}`,
			"memory        NOT MET: 351 bytes for each registration, target at most 350"},
		{"growing", `{"server":"caddysip","operation":"steady","rate":19990,"memory_start":100000000,"memory":120000000}`,
			"steady        NOT MET: 100 MB when measuring began, 120 MB when it ended, target at most 200 and flat"},
		{"too slow", `{"server":"caddysip","operation":"steady","rate":9000,"memory_start":100000000,"memory":100000000}`,
			"steady        NOT MET: 9000 operations a second in place of 20000"},
		{"stale", `{"server":"kamailio-fm","operation":"digest","operations":50,"challenged":3}`,
			"note: digest with Kamailio fm: 3 of 50 requests had a stale nonce and were sent twice"},
		{"reloads", `
{"server":"caddysip","operation":"reload","reloads":19,"worst_reload_us":7000}
{"server":"caddysip","operation":"reload","reloads":20,"worst_reload_us":61200}`,
			"note: reload with caddysip: the slowest of 39 reloads took 61 ms"},
		{"no 100", `{"server":"kamailio-fm","operation":"call","operations":5,"trying":4}`,
			"note: call with Kamailio fm: only 4 of 5 callers had a 100 before the 180"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			if err := run(strings.NewReader(strings.TrimSpace(test.in)), &out, false); err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(out.String()) {
				if strings.TrimSuffix(line, "\n") == test.want {
					return
				}
			}
			t.Errorf("no line %q in:\n%s", test.want, out.String())
		})
	}
}

// TestTargets has every aim in one place: one that moves is a decision.
func TestTargets(t *testing.T) {
	want := map[string]string{
		"register": "0.5 2.2", "options": "0.6 0", "lrc": "0.4 0", "call": "0.45 0", "digest": "0.6 0",
		"digest-sha256": "0.6 0", "register/tcp": "0.4 0", "options/tcp": "0.6 0", "call/tcp": "0.35 0",
		"memory": "0 0", "steady": "0 0",
	}
	for operation, aims := range want {
		if got := fmt.Sprint(targets[operation].ratio, " ", targets[operation].echo); got != aims {
			t.Errorf("%s: %s, want %s", operation, got, aims)
		}
	}
	if len(targets) != len(want) {
		t.Errorf("%d targets, want %d", len(targets), len(want))
	}
}

func TestGrowth(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"ratio met", `
{"server":"caddysip","operation":"uri_user-1","server_cpu_us":10}
{"server":"caddysip","operation":"uri_user-1000","server_cpu_us":13}`,
			"OPTIONS past 1,000 routes with uri_user|13.0 µs|10.0 µs|1.30|1.30|MET"},
		{"ratio not met", `
{"server":"caddysip","operation":"register","server_cpu_us":10}
{"server":"caddysip","operation":"register-bolt","server_cpu_us":11.6}`,
			"REGISTER with storage bolt|11.6 µs|10.0 µs|1.16|1.15|NOT MET"},
		{"limit", `{"server":"caddysip","operation":"contacts-400","server_cpu_us":20.1}`,
			"REGISTER of one of a user's 400 contacts|20.1 µs|20.0 µs|NOT MET"},
		{"beside Kamailio", `
{"server":"kamailio-fm","operation":"digest","server_cpu_us":20}
{"server":"caddysip","operation":"digest","server_cpu_us":10}`,
			"REGISTER with digest, MD5, 100,000 users|10.0 µs|20.0 µs Kamailio fm|0.50|0.60|MET"},
		{"without a base", `{"server":"caddysip","operation":"call-60","server_cpu_us":10}`,
			"call after 60 s of load|10.0 µs|1.10 ×|not compared"},
		{"worst of all runs", `
{"server":"caddysip","operation":"reload","worst_us":12000}
{"server":"caddysip","operation":"reload","worst_us":51000}
{"server":"caddysip","operation":"reload","worst_us":13000}`,
			"worst answer at 20,000 REGISTER/s with reloads|51 ms|50 ms|NOT MET"},
		{"wrong answers", `{"server":"caddysip","operation":"contacts-400","server_cpu_us":1,"errors":1}`,
			"REGISTER of one of a user's 400 contacts|wrong answers|NOT MET"},
		{"unavailable", `{"server":"caddysip","operation":"reload","unavailable":"no answer"}`,
			"worst answer at 20,000 REGISTER/s with reloads|not available|NOT MET"},
	}
	columns := regexp.MustCompile(`  +`)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			if err := run(strings.NewReader(strings.TrimSpace(test.in)), &out, true); err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(out.String()) {
				if columns.ReplaceAllString(strings.TrimSpace(line), "|") == test.want {
					return
				}
			}
			t.Errorf("no line %q in:\n%s", test.want, out.String())
		})
	}
}

func TestRefusesWhatIsNoResult(t *testing.T) {
	if err := run(strings.NewReader("not JSON"), &strings.Builder{}, false); err == nil {
		t.Error("accepted")
	}
}
