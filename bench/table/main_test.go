package main

import (
	"strings"
	"testing"
)

func TestVerdicts(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"median ratio met", `
{"server":"kamailio","operation":"register","server_cpu_us":40,"operations":1}
{"server":"caddysip","operation":"register","server_cpu_us":99,"operations":1}
{"server":"kamailio","operation":"register","server_cpu_us":42,"operations":1}
{"server":"caddysip","operation":"register","server_cpu_us":10,"operations":1}
{"server":"kamailio","operation":"register","server_cpu_us":90,"operations":1}
{"server":"caddysip","operation":"register","server_cpu_us":14,"operations":1}`,
			"register  MET: 0.33 × Kamailio, target at most 0.50 ×"},
		{"ratio not met", `
{"server":"kamailio","operation":"call","server_cpu_us":100}
{"server":"caddysip","operation":"call","server_cpu_us":51}`,
			"call      NOT MET: 0.51 × Kamailio, target at most 0.50 ×"},
		{"wrong answers", `
{"server":"kamailio","operation":"options","server_cpu_us":100}
{"server":"caddysip","operation":"options","server_cpu_us":1,"errors":1,"error_samples":["bad tag"]}`,
			"options   NOT MET: caddysip gave wrong answers"},
		{"Kamailio's wrong answers", `
{"server":"kamailio","operation":"options","server_cpu_us":100,"errors":1}
{"server":"caddysip","operation":"options","server_cpu_us":1}`,
			"options   not compared: Kamailio gave wrong answers"},
		{"unavailable", `{"server":"caddysip","operation":"lrc","unavailable":"no answer"}`,
			"lrc       NOT MET: caddysip cannot do it: no answer"},
		{"alone", `{"server":"caddysip","operation":"lrc","server_cpu_us":1}`,
			"lrc       not compared: no figures of Kamailio's"},
		{"memory", `{"server":"caddysip","operation":"memory","bytes_per_registration":351}`,
			"memory    NOT MET: 351 bytes for each registration, target at most 350"},
		{"growing", `{"server":"caddysip","operation":"steady","rate":19990,"memory_start":100000000,"memory":120000000}`,
			"steady    NOT MET: 100 MB when measuring began, 120 MB when it ended, target at most 200 and flat"},
		{"too slow", `{"server":"caddysip","operation":"steady","rate":9000,"memory_start":100000000,"memory":100000000}`,
			"steady    NOT MET: 9000 operations a second in place of 20000"},
		{"no 100", `{"server":"kamailio","operation":"call","operations":5,"trying":4}`,
			"note: call with kamailio: only 4 of 5 callers had a 100 before the 180"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			if err := run(strings.NewReader(strings.TrimSpace(test.in)), &out); err != nil {
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

func TestRefusesWhatIsNoResult(t *testing.T) {
	if err := run(strings.NewReader("not JSON"), &strings.Builder{}); err == nil {
		t.Error("accepted")
	}
}
