package proxy

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func TestCaddyfile(t *testing.T) {
	for _, test := range []struct{ input, want, err string }{
		{"proxy", `{}`, ""},
		{"proxy sip:a.example sip:b.example:5070;transport=tcp", `{"to":["sip:a.example","sip:b.example:5070;transport=tcp"]}`, ""},
		{"proxy {\nto sip:a.example\nto sip:{sip.vars.gw}\n}", `{"to":["sip:a.example","sip:{sip.vars.gw}"]}`, ""},
		{"proxy {\ntimeout 30s\nno_response 3s\nretries 0\nfork sequential\nrecord_route off\n}",
			`{"timeout":30000000000,"no_response":3000000000,"retries":0,"fork":"sequential","record_route":false}`, ""},
		{"proxy {\nfork parallel\nrecord_route on\n}", `{"fork":"parallel","record_route":true}`, ""},
		{"proxy sip:a.example {\nallow_control\n}", `{"to":["sip:a.example"],"allow_control":true}`, ""},
		{"proxy sip:a.example {\nallow_buttons\n}", `{"to":["sip:a.example"],"allow_control":true}`, ""},
		{"proxy {\nallow_buttons yes\n}", "", "takes no more"},
		{"proxy {\nallow_private\n}", `{"allow_private":true}`, ""},
		{"proxy {\nallow_private 10.0.0.0/8\n}", "", "takes no more"},
		{"proxy a.example", "", "write it as sip:host"},
		{"proxy sips:a.example", "", "only sip: URIs over udp and tcp"},
		{"proxy sip:a.example;transport=tls", "", "only sip: URIs over udp and tcp"},
		{"proxy sip:a.example?x=y", "", "no headers"},
		{"proxy {\ntimeout 0s\n}", "", "a duration above zero"},
		{"proxy {\ntimeout\n}", "", "needs a value"},
		{"proxy {\nretries -1\n}", "", "retries of proxy takes a number, 0 or more, not '-1'"},
		{"proxy {\nfork serial\n}", "", "parallel or sequential"},
		{"proxy {\nrecord_route maybe\n}", "", "on or off"},
		{"proxy {\nrecurse on\n}", "", "unrecognized option"},
	} {
		p := new(Proxy)
		err := p.UnmarshalCaddyfile(caddyfile.NewTestDispenser(test.input))
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%s: error %v, want %q", test.input, err, test.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.input, err)
			continue
		}
		got, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		same(t, test.input, string(got), test.want)
	}
}

func TestValidate(t *testing.T) {
	minus := -1
	for _, p := range []*Proxy{
		{Fork: "x"}, {Fork: Parallel, Timeout: -1}, {Fork: Parallel, Retries: &minus}, {Fork: Parallel, To: []string{"mailto:a@b"}},
	} {
		if err := p.Validate(); err == nil {
			t.Errorf("%+v should be refused", p)
		}
	}
	if err := (&Proxy{Fork: Sequential, To: []string{"sip:a.example", "{sip.vars.x}"}}).Validate(); err != nil {
		t.Error(err)
	}
}
