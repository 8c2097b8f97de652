package register

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/internal/ipset"
	"github.com/caddysip/caddysip/module/moduletest"
)

func TestUnmarshalCaddyfile(t *testing.T) {
	min, h, day := caddy.Duration(time.Minute), caddy.Duration(time.Hour), caddy.Duration(24*time.Hour)
	for _, tc := range []struct {
		text string
		want Register
		err  string
	}{
		{text: "register"},
		{text: "register {\n}"},
		{text: "register {\n expires 60 1h 1d\n max_contacts 3\n}", want: Register{MinExpires: min, DefaultExpires: h, MaxExpires: day, MaxContacts: 3}},
		{text: "register {\n expires 60 1h 1d lift\n}", want: Register{MinExpires: min, DefaultExpires: h, MaxExpires: day, Lift: true}},
		{text: "register {\n path off\n}", want: Register{PathOff: true}},
		{text: "register {\n path from 10.0.0.0/8 192.0.2.1 {env.EDGES}\n}", want: Register{PathFrom: []string{"10.0.0.0/8", "192.0.2.1", "{env.EDGES}"}}},
		{text: "register {\n path from private_ranges\n}", want: Register{PathFrom: ipset.PrivateRanges}},
		{text: "register {\n path\n}", err: "path of register is off, or from"},
		{text: "register {\n path from\n}", err: "path of register is off, or from"},
		{text: "register {\n path on\n}", err: "path of register is off, or from"},
		{text: "register {\n path off now\n}", err: "path of register is off, or from"},
		{text: "register {\n path from edge.example.com\n}", err: `"edge.example.com" is neither an IP address nor a range`},
		{text: "register {\n path off\n path from 10.0.0.1\n}", err: "path of register is given twice"},
		{text: "register x", err: "register takes no arguments, only a block"},
		{text: "register {\n expires 60 600\n}", err: "expires of register takes three times"},
		{text: "register {\n expires 60 600 lift\n}", err: "not 'lift'"},
		{text: "register {\n expires 60 600 7200 9000\n}", err: "expires of register takes three times"},
		{text: "register {\n expires 60 x 7200\n}", err: "takes times of a second or more, not 'x'"},
		{text: "register {\n expires 0 600 7200\n}", err: "takes times of a second or more, not '0'"},
		{text: "register {\n expires 500ms 600 7200\n}", err: "takes times of a second or more, not '500ms'"},
		{text: "register {\n expires -60 600 7200\n}", err: "takes times of a second or more, not '-60'"},
		{text: "register {\n max_contacts\n}",
			err: "max_contacts of register takes a number above zero, and maybe refuse"},
		{text: "register {\n max_contacts 1 2\n}",
			err: "max_contacts of register takes a number above zero, and maybe refuse"},
		{text: "register {\n max_contacts 3 refuse\n}", want: Register{MaxContacts: 3, Refuse: true}},
		{text: "register {\n max_contacts refuse\n}", err: "takes a number above zero, not 'refuse'"},
		{text: "register {\n max_contacts 0\n}", err: "takes a number above zero, not '0'"},
		{text: "register {\n max_contacts many\n}", err: "takes a number above zero, not 'many'"},
		{text: "register {\n contacts 1\n}", err: "unrecognized option 'contacts' of register: known are expires, max_contacts, path"},
	} {
		var h Register
		err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser(tc.text))
		switch {
		case tc.err == "" && (err != nil || !reflect.DeepEqual(h, tc.want)):
			t.Errorf("%s: %+v, %v", tc.text, h, err)
		case tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)):
			t.Errorf("%s: %v, want %q", tc.text, err, tc.err)
		}
	}
}

func TestValidate(t *testing.T) {
	for options, want := range map[string]string{
		``:                          "",
		`, "min_expires": "3h"`:     "",
		`, "default_expires": "1d"`: "",
		`, "max_expires": "60s", "min_expires": "60s"`:     "",
		`, "max_expires": "30s"`:                           "the shortest (60s), the default (30s) and the longest (30s) must not be in another order",
		`, "min_expires": "20m", "default_expires": "10m"`: "must not be in another order",
		`, "min_expires": "1ms"`:                           "times must be from 1 second",
		`, "min_expires": "-1m"`:                           "must not be negative",
		`, "path_from": ["10.0.0.0/8"], "path_off": true`:  "path_off and path_from exclude each other",
		`, "path_from": ["10.0.0.0/33"]`:                   "path from: ",
		`, "max_contacts": -1`:                             "must not be negative",
		`, "max_expires": "36500d"`:                        "times must be from 1 second",
		`, "min_expires": "36500d"`:                        "times must be from 1 second",
	} {
		_, err := moduletest.Load(t, `{"servers": {"s": {"listen": ["udp/127.0.0.1:5060"], "routes": [{"handle": [{"handler": "register"`+options+`}]}]}}}`)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", options, err, want)
		}
	}
}

func TestOnlyInAServer(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	if err := new(Register).Provision(ctx); err == nil || !strings.Contains(err.Error(), "only in the routes of a SIP server") {
		t.Errorf("got %v", err)
	}
}
