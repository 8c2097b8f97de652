package match

import (
	"strings"
	"testing"

	"github.com/caddysip/caddysip/module/moduletest"
)

// What is wrong in a Caddyfile is said with its place and what to do.
func TestCaddyfileErrors(t *testing.T) {
	for matchers, want := range map[string]string{
		"@x":                                     "@x has no matchers, at Testfile:1",
		"@x {\n}":                                "has no matchers",
		"@x user_agnt a":                         "unrecognized SIP matcher 'user_agnt': did you mean user_agent?",
		"@x banana":                              "unrecognized SIP matcher 'banana': known are authenticated, expression, from_host,",
		"@x method":                              "method needs at least one value, at Testfile:1",
		"@x {\n method INVITE\n uri_user\n}":     "uri_user needs at least one value, at Testfile:3",
		"@x {\n method INVITE {\n a\n }\n}":      "method has no block, at Testfile:3",
		"@x uri_regexp":                          "uri_regexp needs a regular expression",
		"@x uri_regexp a b c":                    "uri_regexp needs a regular expression",
		"@x {\n uri_regexp a\n uri_regexp b\n}":  "uri_regexp can be in a set once",
		"@x header":                              "header needs the name",
		"@x header !Subject x":                   "it can't have values",
		"@x header Sub(ject x":                   "not the name of a header field",
		"@x {\n header Subject x\n header !s\n}": "can't be both there and not there",
		"@x {\n header !s\n header Subject x\n}": "can't be both there and not there",
		"@x {\n header s\n header Subject x\n}":  "says nothing beside",
		"@x header_regexp Subject":               "header_regexp needs the name of a header field and a regular expression",
		"@x {\n header_regexp s a\n header_regexp Subject b\n}": "Subject is there already",
		"@x in_dialog yes":                            "in_dialog has no arguments",
		"@x registered to":                            "registered takes 'from' or nothing, not 'to'",
		"@x registered from to":                       "registered takes 'from' or nothing, but there is 'to' too",
		"@x {\n registered\n registered from\n}":      "registered can be in a set once",
		"@x expression":                               "expression needs an expression",
		"@x {\n expression true\n expression true\n}": "combine them with &&",
		"@x vars a":                                   "vars needs the name of a variable, or a placeholder, and at least one value",
		"@x not":                                      "not has no matchers",
		"@x not methd INVITE":                         "did you mean method?",
	} {
		if _, err := config(t, matchers); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", matchers, err, want)
		}
	}
}

func TestLoadErrors(t *testing.T) {
	for matchers, want := range map[string]string{
		`"method": []`:                                   "at least one value is needed",
		`"method": ["invite"]`:                           `method "invite": methods are case-sensitive, write INVITE`,
		`"method": ["IN VITE"]`:                          `method "IN VITE" is not a SIP method`,
		`"uri_user": []`:                                 "at least one value is needed",
		`"uri_host": ["example.com:5060"]`:               `host "example.com:5060" has a port`,
		`"user_agent": []`:                               "at least one value is needed",
		`"uri_regexp": {"pattern": "("}`:                 `regular expression "(": error parsing`,
		`"uri_regexp": {}`:                               "the regular expression is empty",
		`"header": {}`:                                   "at least one value is needed",
		`"header": {"a b": []}`:                          `"a b" is not the name of a header field`,
		`"header_regexp": {"Subject": {"pattern": "["}}`: "header field Subject: regular expression",
		`"header_regexp": {"Subject": null}`:             "header field Subject has no regular expression",
		`"remote_ip": {"ranges": ["10.0.0.0/33"]}`:       `"10.0.0.0/33" is neither an IP address nor a range`,
		`"remote_ip": {"ranges": ["example.com"]}`:       `"example.com" is neither`,
		`"remote_ip": {"ranges": ["{env.NO_SUCH}"]}`:     "NO_SUCH",
		`"remote_ip": {}`:                                "at least one value is needed",
		`"transport": ["sctp"]`:                          `unknown transport "sctp": known are udp, tcp, tls, ws, wss`,
		`"transport": []`:                                "at least one value is needed",
		`"not": []`:                                      "at least one value is needed",
		`"not": [{"no_such": 1}]`:                        "no_such",
		`"expression": ""`:                               "the expression is empty",
		`"expression": "{sip.method}"`:                   "it must be something that is true or false",
		`"expression": "{sip.method} =="`:                "Syntax error",
		`"expression": "\"a\" + \"b\""`:                  "gives string",
		`"registered": {"form": true}`:                   "form",
	} {
		c := `{"servers": {"srv0": {"listen": ["udp/192.0.2.10:5060"], "routes": [{"match": [{` + matchers + `}]}]}}}`
		if _, err := moduletest.Load(t, c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", matchers, err, want)
		}
	}
}
