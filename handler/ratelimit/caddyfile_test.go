package ratelimit

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/module/moduletest"
)

func TestUnmarshalCaddyfile(t *testing.T) {
	for _, tc := range []struct{ text, want, err string }{
		{text: "rate_limit", want: `{}`},
		{text: "rate_limit {\n}", want: `{}`},
		{
			text: "rate_limit {\n zone floods\n key {sip.source.ip}\n events 50\n window 1s\n ban 5m\n respond 503\n}",
			want: `{"zone":"floods","key":"{sip.source.ip}","events":50,"window":1000000000,"ban":300000000000,"respond":503}`,
		},
		{text: "rate_limit 50", err: "rate_limit takes no arguments, only a block"},
		{text: "rate_limit {\n zone\n}", err: "zone of rate_limit needs a value"},
		{text: "rate_limit {\n zone \"\"\n}", err: "zone of rate_limit needs a value"},
		{text: "rate_limit {\n key a b\n}", err: "key of rate_limit takes one value"},
		{text: "rate_limit {\n events 1\n events 2\n}", err: "events of rate_limit is given twice"},
		{text: "rate_limit {\n events 0\n}", err: "events of rate_limit takes a number above zero, not '0'"},
		{text: "rate_limit {\n events many\n}", err: "not 'many'"},
		{text: "rate_limit {\n window 1\n}", err: "window of rate_limit takes a duration above zero such as 30s or 5m, not '1'"},
		{text: "rate_limit {\n window 0s\n}", err: "not '0s'"},
		{text: "rate_limit {\n ban -5m\n}", err: "ban of rate_limit takes a duration"},
		{text: "rate_limit {\n respond later\n}",
			err: "respond of rate_limit takes a status from 400 to 699, not 'later'"},
		{text: "rate_limit {\n respond 200\n}", err: "respond of rate_limit takes a status from 400 to 699, not 200"},
		{text: "rate_limit {\n burst 5\n}", err: "unrecognized option 'burst' of rate_limit: known are ban, events, key, respond, window, zone"},
	} {
		var h RateLimit
		err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser(tc.text))
		if tc.err != "" {
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("%s: %v, want %q", tc.text, err, tc.err)
			}
			continue
		}
		if got, _ := json.Marshal(&h); err != nil || string(got) != tc.want {
			t.Errorf("%s: %s, %v, want %s", tc.text, got, err, tc.want)
		}
	}
}

func TestValidate(t *testing.T) {
	for options, want := range map[string]string{
		``:                                       "",
		`, "events": 5, "window": "1m"`:          "",
		`, "events": -1`:                         "events must be 1 or more, not -1",
		`, "window": -1000000000`:                "window must be from 1ms",
		`, "window": "1ms", "events": 100000000`: "are more than one each microsecond",
		`, "ban": -1000000000`:                   "ban must not be negative: -1s",
		`, "respond": 302`:                       "respond takes a status from 400 to 699, not 302",
		`, "burst": 3`:                           "unknown field",
	} {
		_, err := moduletest.Load(t, `{"servers": {"s": {"listen": ["udp/127.0.0.1:5060"], "routes": [{"handle": [{"handler": "rate_limit"`+options+`}]}]}}}`)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", options, err, want)
		}
	}
}
