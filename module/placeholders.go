package module

import (
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/internal/snomkeys/snom"
	"github.com/caddysip/caddysip/wire"
)

// Replacer returns the request's replacer. Never give it text that came off the wire: what looks
// like a placeholder there is only text.
func (r *Request) Replacer() *caddy.Replacer {
	if r.repl == nil {
		r.repl = caddy.NewReplacer()
		r.repl.Map(r.placeholder)
	}
	return r.repl
}

// Replace replaces the placeholders in a text of the configuration. It costs nothing when there are
// none, and little when there are only those of SIP, for which no replacer has to be made.
func (r *Request) Replace(text string) string {
	open := strings.IndexByte(text, '{')
	if open < 0 {
		return text
	}
	var out []byte
	for rest := text; ; open = strings.IndexByte(rest, '{') {
		if open < 0 {
			return string(append(out, rest...))
		}
		key, after, closed := strings.Cut(rest[open+1:], "}")
		value, ok := r.placeholder(key)
		if !ok || !closed || strings.IndexByte(key, '{') >= 0 || strings.IndexByte(rest[:open], '\\') >= 0 {
			return r.Replacer().ReplaceAll(text, "")
		}
		out = append(append(out, rest[:open]...), caddy.ToString(value)...)
		rest = after
	}
}

func (r *Request) placeholder(key string) (any, bool) {
	name, ok := strings.CutPrefix(key, "sip.")
	if !ok {
		return nil, false
	}
	switch name {
	case "method":
		return r.Method(), true
	case "call_id":
		return string(r.msg.Header(wire.CallID)), true
	case "cseq":
		return strconv.FormatUint(uint64(r.msg.CSeq), 10), true
	case "user_agent":
		return string(r.msg.Header(wire.UserAgent)), true
	case "source":
		return r.in.Flow.Remote.String(), true
	case "source.ip":
		return r.in.Flow.Remote.Addr().String(), true
	case "source.port":
		return strconv.Itoa(int(r.in.Flow.Remote.Port())), true
	case "local.host":
		return string(wire.AppendHost(nil, r.in.Flow.Local.Addr())), true
	case "local.port":
		return strconv.Itoa(int(r.in.Flow.Local.Port())), true
	case "transport":
		return r.Transport(), true
	case "auth.user":
		return r.AuthUser(), true
	case "response.status":
		return r.writer.status, true
	}
	first, rest, _ := strings.Cut(name, ".")
	switch first {
	case "uri":
		return uriPart(r.URI(), rest)
	case "from", "to", "contact":
		id := map[string]wire.HeaderID{"from": wire.From, "to": wire.To, "contact": wire.Contact}[first]
		_, u := r.Address(id)
		if rest == "uri" {
			rest = ""
		}
		return uriPart(&u, rest)
	case "header":
		return string(r.Header(rest)), true
	case "vars":
		return r.vars[rest], true
	case "regexp":
		v, ok := r.vars[name]
		return v, ok
	case "error":
		return r.errorPart(rest)
	case "snom":
		return snomPart(r, rest)
	}
	return nil, false
}

func uriPart(u *wire.URI, part string) (any, bool) {
	switch part {
	case "":
		return string(u.Raw), true
	case "user":
		return string(wire.AppendUnescaped(nil, u.User)), true
	case "host":
		return string(u.Host), true
	case "port":
		if u.Port == 0 {
			return "", true
		}
		return strconv.Itoa(int(u.Port)), true
	}
	return nil, false
}

func (r *Request) errorPart(part string) (any, bool) {
	if r.err == nil {
		return nil, false
	}
	switch part {
	case "status":
		return r.err.Status, true
	case "reason":
		return reasonOf(r.err.Status, r.err.Reason), true
	case "message":
		return r.err.Error(), true
	}
	return nil, false
}

func snomPart(r *Request, part string) (any, bool) {
	agent, _ := snom.ParseUserAgent(string(r.msg.Header(wire.UserAgent)))
	switch part {
	case "model":
		return agent.Model, true
	case "firmware":
		return agent.Firmware, true
	}
	return nil, false
}
