package proxy

import (
	"bytes"
	"slices"

	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/wire"
)

// Remote control of a phone: requests that set its keys and settings, have it reboot, dial or show
// something. Phones take them from whoever gets them there. autoanswer.go has what calls bring
// along.

// stateEvents are the event packages that only show the state of something, and the types that
// their documents have. A server may send them though no subscription has asked for them.
var stateEvents = map[string][]string{
	"message-summary": {"application/simple-message-summary"},
	"dialog":          {"application/dialog-info+xml"},
	"presence":        {"application/pidf+xml", "application/xpidf+xml"},
	"conference":      {"application/conference-info+xml"},
}

// controlEvents are the packages that have a phone do something, as squeeze writes them. What has
// snom, xml or sync in its name is one as well: check-sync, snom-settings, Yealink-xml and others.
var controlEvents = []string{"talk", "hold", "reboot", "restart", "report", "uaprofile", "actionuri",
	"servicecontrol", "syscontrol", "remotecc", "button", "buttons", "autoanswer", "factoryreset"}

// controlTypes are parts of the names of media types that phones obey, as squeeze writes them.
var controlTypes = []string{"xbuttons", "snom", "csta", "remotecc", "ipphone", "yealink", "polycom", "aastra", "grandstream"}

// controls reports whether a request controls a phone. What the phone itself has set up, a call or
// a subscription, may bring it states and transfers.
func controls(r *module.Request, within bool) bool {
	m := r.Message()
	if controlBody(m) {
		return true
	}
	switch methodOf(m) {
	case wire.REFER:
		return !within
	case wire.NOTIFY:
		return controlNotify(r, within)
	case wire.MESSAGE:
		// RFC 3428 has no Event: Snom's settings and actions have, and nobody reads XML.
		return m.Has(wire.Event) || isXML(m)
	case wire.SUBSCRIBE, wire.PUBLISH:
		return false
	}
	return m.Has(wire.Event) && controlEvent(m.Header(wire.Event))
}

// methodOf returns the method that a lenient phone may take it for.
func methodOf(m *wire.Message) wire.Method {
	if m.Method != wire.OtherMethod {
		return m.Method
	}
	name := m.MethodName()
	if wire.EqualFold(name, "BENOTIFY") { // [MS-SIP]
		return wire.NOTIFY
	}
	for _, method := range [...]wire.Method{wire.NOTIFY, wire.REFER, wire.MESSAGE, wire.INVITE} {
		if wire.EqualFold(name, method.String()) {
			return method
		}
	}
	return wire.OtherMethod
}

// controlNotify judges a NOTIFY. One that no subscription has asked for is for those to send who
// are known, and only of states.
func controlNotify(r *module.Request, within bool) bool {
	m := r.Message()
	lines := m.Lines("Event")
	if !lines.Next() {
		return !within // it says nothing to anybody
	}
	event := lines.Value()
	name := mainPart(event)
	if lines.Next() || !wire.IsToken(name) {
		return true // some phone may read it otherwise
	}
	if within {
		return controlEvent(event)
	}
	types, ok := stateEvents[string(bytes.ToLower(name))]
	if !ok || r.AuthUser() == "" && !r.Trusted() {
		return true
	}
	return len(m.Body()) > 0 && !typeIs(m, types...)
}

// controlEvent reports whether the value of Event is one of those that control.
func controlEvent(value []byte) bool {
	var room [64]byte
	name := squeeze(room[:0], mainPart(value))
	return slices.Contains(controlEvents, string(name)) || containsAny(name, "snom", "xml", "sync")
}

// typeIs reports whether there is one Content-Type, and it is one of the types.
func typeIs(m *wire.Message, types ...string) bool {
	lines := m.Lines("Content-Type")
	if !lines.Next() {
		return false
	}
	name := mainPart(lines.Value())
	return !lines.Next() && slices.ContainsFunc(types, func(t string) bool { return wire.EqualFold(name, t) })
}

// isXML reports whether one of the types that a request has is that of any XML.
func isXML(m *wire.Message) bool {
	for it := m.Lines("Content-Type"); it.Next(); {
		for one, rest := wire.CutValue(it.Value()); len(one) > 0; one, rest = wire.CutValue(rest) {
			var room [64]byte
			switch string(squeeze(room[:0], mainPart(one))) {
			case "applicationxml", "textxml":
				return true
			}
		}
	}
	return false
}

// controlBody reports whether a request has a document that a phone obeys, or one in a message or a
// part of its body, or may have one that cannot be seen.
func controlBody(m *wire.Message) bool {
	container := false
	for it := m.Lines("Content-Type"); it.Next(); {
		if wire.EqualFold(it.Value(), "application/sdp") {
			continue
		}
		if controlType(it.Value()) {
			return true
		}
		container = container || isContainer(it.Value())
	}
	if !container {
		return false
	}
	for _, name := range [...]string{"Content-Encoding", "Content-Transfer-Encoding"} {
		for it := m.Lines(name); it.Next(); {
			if isEncoded(it.Value()) {
				return true
			}
		}
	}
	return controlWithin(m.Body())
}

func controlType(value []byte) bool {
	var room [128]byte
	for len(value) > 0 {
		var one []byte
		one, value = wire.CutValue(value)
		if containsAny(squeeze(room[:0], mainPart(one)), controlTypes...) {
			return true
		}
	}
	return false
}

// isContainer reports whether a type is one of messages: message/sip, message/sipfrag,
// multipart/mixed and all others.
func isContainer(value []byte) bool {
	var room [128]byte
	for len(value) > 0 {
		var one []byte
		one, value = wire.CutValue(value)
		if name := squeeze(room[:0], mainPart(one)); bytes.HasPrefix(name, []byte("multipart")) || bytes.HasPrefix(name, []byte("message")) {
			return true
		}
	}
	return false
}

// isEncoded reports whether a body with that encoding is not to be read as it is.
func isEncoded(value []byte) bool {
	for _, plain := range [...]string{"", "7bit", "8bit", "binary", "identity"} {
		if wire.EqualFold(value, plain) {
			return false
		}
	}
	return true
}

// controlWithin looks for header fields in a body: whatever the boundaries are, and however deep it
// is, what a reader takes for a document has its type in a line of its own.
func controlWithin(body []byte) bool {
	var name, value []byte // of the field that the lines so far make
	container, encoded := false, false
	for more := true; more; {
		var line []byte
		line, body, more = cutLine(body)
		if name != nil && len(line) > 0 && (line[0] == ' ' || line[0] == '\t') {
			value = append(append(value, ' '), line...)
			continue
		}
		value = bytes.TrimSpace(value)
		switch field := string(bytes.ToLower(name)); field {
		case "content-type", "c":
			if controlType(value) {
				return true
			}
			container = container || isContainer(value)
		case "event", "o":
			if controlEvent(value) {
				return true
			}
		case "content-transfer-encoding", "content-encoding", "e":
			encoded = encoded || isEncoded(value)
		}
		if container && encoded {
			return true
		}
		name, value = nil, nil
		if len(line) == 0 {
			container, encoded = false, false
		} else if n, v, ok := bytes.Cut(line, []byte{':'}); ok {
			name, value = bytes.TrimSpace(n), bytes.Clone(v)
		}
	}
	return false
}

// cutLine cuts off a line that ends in CRLF, LF or CR.
func cutLine(b []byte) (line, rest []byte, more bool) {
	i := bytes.IndexAny(b, "\r\n")
	if i < 0 {
		return b, nil, len(b) > 0
	}
	rest = b[i+1:]
	if b[i] == '\r' && len(rest) > 0 && rest[0] == '\n' {
		rest = rest[1:]
	}
	return b[:i], rest, true
}

// mainPart returns what stands before the parameters.
func mainPart(value []byte) []byte {
	if i := bytes.IndexByte(value, ';'); i >= 0 {
		value = value[:i]
	}
	return bytes.TrimSpace(value)
}

// squeeze appends the letters and digits of a text, in lower case and with escapes decoded: phones
// forgive, and read Auto Answer where alert-autoanswer is meant.
func squeeze(dst, text []byte) []byte {
	start := len(dst)
	dst = wire.AppendUnescaped(dst, text)
	n := start
	for _, c := range dst[start:] {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if 'a' <= c && c <= 'z' || '0' <= c && c <= '9' {
			dst[n] = c
			n++
		}
	}
	return dst[:n]
}

func containsAny(text []byte, parts ...string) bool {
	return slices.ContainsFunc(parts, func(p string) bool { return bytes.Contains(text, []byte(p)) })
}
