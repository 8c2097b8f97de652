package proxy

import (
	"bytes"

	"github.com/caddysip/caddysip/internal/sip/routetoken"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/wire"
)

// What has a phone take a call by itself, so that the caller hears the room: header fields of RFC
// 5373 and of many vendors, and Snom's URI parameter intercom=true. It is taken out, and the phone
// rings.

// answerWords are what Alert-Info and Call-Info have in their values then, as squeeze writes them:
// answer-after, alert-autoanswer, Ring Answer… They are ring tones else.
var (
	answerWords = []string{"answer", "intercom", "delay", "paging", "handsfree", "autoconnect"}
	infoFields  = wire.NewFieldSet("Alert-Info", "Call-Info")
)

// ring takes out of an INVITE what has phones answer it.
func ring(r *module.Request) error {
	if methodOf(r.Message()) != wire.INVITE {
		return nil
	}
	return r.Edit(quiet)
}

// quiet deletes the fields and parameters.
func quiet(e *wire.Edits, m *wire.Message) {
	if m.HasAny(infoFields) {
		for _, name := range infoFields.Names() {
			for it := m.Lines(name); it.Next(); {
				var room [256]byte
				if containsAny(squeeze(room[:0], it.Value()), answerWords...) {
					e.Replace(it.Span())
				}
			}
		}
	}
	m.All(func(id wire.HeaderID, name, _ []byte) bool {
		if id == wire.OtherHeader && saysAnswer(name) {
			e.DeleteHeader(m, string(name))
		}
		return true
	})
	if uri, ok := ringURI(m.RequestURI()); ok {
		e.SetRequestURI(m, uri)
	}
	for _, id := range [...]wire.HeaderID{wire.To, wire.From} {
		if value, ok := ringAddress(m.Header(id)); ok {
			it := m.Lines(id.String())
			it.Next()
			e.Replace(it.Span())
			e.Text = wire.AppendHeader(e.Text, id.String(), value)
		}
	}
}

// saysAnswer reports whether the name of a field or parameter stands for it: Answer-Mode,
// P-Auto-Answer, X-AutoAnswer, intercom. It is asked for each INVITE.
func saysAnswer(name []byte) bool {
	for i, c := range name {
		switch c | 0x20 {
		case 'a':
			if rest := name[i:]; len(rest) >= len("answer") && wire.EqualFold(rest[:len("answer")], "answer") {
				return true
			}
		case 'i':
			if rest := name[i:]; len(rest) >= len("intercom") && wire.EqualFold(rest[:len("intercom")], "intercom") {
				return true
			}
		}
	}
	return false
}

// maySayAnswer reports whether a URI or an address may have such a parameter, perhaps escaped.
func maySayAnswer(b []byte) bool {
	return bytes.IndexByte(b, ';') >= 0 && (bytes.IndexByte(b, '%') >= 0 || saysAnswer(b))
}

// routesToAnswer reports whether a strict router before or behind us makes a Route the Request-URI
// of an INVITE, and it has such a parameter.
func routesToAnswer(m *wire.Message, rs *routetoken.Routes) bool {
	if methodOf(m) != wire.INVITE {
		return false
	}
	before, behind := false, false
	if rs.Unstrict {
		_, before = ringURI(rs.URI.Raw)
	}
	if rs.HasNext && !rs.Loose {
		_, behind = ringURI(rs.Next.Raw)
	}
	return before || behind
}

// ringURI returns a URI without the parameters, and whether it had any.
func ringURI(uri []byte) ([]byte, bool) {
	if !maySayAnswer(uri) {
		return nil, false
	}
	u, err := wire.ParseURI(uri)
	if err != nil {
		return nil, false
	}
	params, ok := ringParams(u.Params)
	if !ok {
		return nil, false
	}
	n := len(u.WithoutHeaders())
	return append(append(bytes.Clone(uri[:n-len(u.Params)]), params...), uri[n:]...), true
}

// ringAddress is ringURI for the value of From or To.
func ringAddress(value []byte) ([]byte, bool) {
	if !maySayAnswer(value) {
		return nil, false
	}
	a, err := wire.ParseNameAddr(value)
	if err != nil {
		return nil, false
	}
	uri, inURI := ringURI(a.URI)
	params, inParams := ringParams(a.Params)
	if !inURI && !inParams {
		return nil, false
	}
	if !inURI {
		uri = a.URI
	}
	if !inParams {
		params = a.Params
	}
	var out []byte
	if len(a.Display) > 0 {
		out = append(append(out, a.Display...), ' ')
	}
	out = append(append(append(out, '<'), uri...), '>')
	return append(out, params...), true
}

// ringParams returns parameters without those, and whether there were any.
func ringParams(params []byte) (kept []byte, found bool) {
	for it := wire.ParamsOf(params); it.Next(); {
		var room [64]byte
		if saysAnswer(wire.AppendUnescaped(room[:0], it.Name)) {
			found = true
			continue
		}
		kept = append(append(kept, ';'), it.Name...)
		if it.Value != nil {
			kept = append(append(kept, '='), it.Value...)
		}
	}
	return kept, found
}
