package allowance

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// message is one SIP message as the model reads it: on its own, so that it doesn't share the
// server's mistakes. It is lenient; what it cannot read it takes for absent.
type message struct {
	text   string
	first  []string // the start line's words
	fields [][2]string
	body   string
}

var compact = map[string]string{"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length", "c": "content-type"}

func parse(b []byte) *message {
	m := &message{text: string(b)}
	head, body, _ := strings.Cut(m.text, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	m.first, m.body = strings.SplitN(lines[0], " ", 3), body
	for _, line := range lines[1:] {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		name = strings.ToLower(strings.TrimSpace(name))
		if long, ok := compact[name]; ok {
			name = long
		}
		m.fields = append(m.fields, [2]string{name, strings.TrimSpace(value)})
	}
	return m
}

func (m *message) response() bool { return len(m.first) > 1 && m.first[0] == "SIP/2.0" }
func (m *message) request() bool {
	return len(m.first) == 3 && strings.HasPrefix(m.first[2], "SIP/2.0")
}

func (m *message) status() int {
	if !m.response() {
		return 0
	}
	n, _ := strconv.Atoi(m.first[1])
	return n
}

// method is a request's, or that of the request that a response answers.
func (m *message) method() string {
	_, method, _ := strings.Cut(m.get("cseq"), " ")
	return strings.TrimSpace(method)
}

func (m *message) uri() string { return m.first[1] }

// all returns the values of a field.
func (m *message) all(name string) (values []string) {
	for _, f := range m.fields {
		if f[0] == name {
			values = append(values, f[1])
		}
	}
	return values
}

func (m *message) get(name string) string {
	if v := m.all(name); v != nil {
		return v[0]
	}
	return ""
}

var tagged = regexp.MustCompile(`;tag=([^;>\s]+)`)

func (m *message) tag(name string) string {
	if t := tagged.FindStringSubmatch(m.get(name)); t != nil {
		return t[1]
	}
	return ""
}

// transaction says which request this is, or answers: the same on both sides of a proxy.
func (m *message) transaction() string { return m.get("call-id") + " " + m.get("cseq") }

// request that an ACK, a CANCEL or their INVITE belong to.
func (m *message) invitation() string {
	n, _, _ := strings.Cut(m.get("cseq"), " ")
	return m.get("call-id") + " " + n + " INVITE"
}

var branched = regexp.MustCompile(`branch=([^;,\s]+)`)

// branch is that of the topmost Via.
func (m *message) branch() string {
	if b := branched.FindStringSubmatch(m.get("via")); b != nil {
		return b[1]
	}
	return ""
}

// sentBy is the topmost Via's.
func (m *message) sentBy() string {
	_, rest, _ := strings.Cut(m.get("via"), " ")
	host, _, _ := strings.Cut(strings.TrimSpace(rest), ";")
	return host
}

var sipURI = regexp.MustCompile(`sips?:[^<>,\s]+`)

// uris returns the URIs in the values of a field.
func (m *message) uris(name string) (all []string) {
	for _, v := range m.all(name) {
		all = append(all, sipURI.FindAllString(v, -1)...)
	}
	return all
}

// place is where a URI leads: a host, which may be a name, and a port.
type place struct {
	host string
	port uint16 // 0: none is given
}

var uriParts = regexp.MustCompile(`^sips?:(?:[^@]*@)?(\[[^\]]*\]|[^:;?>]*)(?::(\d+))?(.*)$`)

// placesOf returns where a URI may lead: to its host, and to its maddr.
func placesOf(uri string) (all []place) {
	p := uriParts.FindStringSubmatch(uri)
	if p == nil {
		return nil
	}
	port, _ := strconv.ParseUint(p[2], 10, 16)
	all = append(all, place{strings.Trim(p[1], "[]"), uint16(port)})
	if _, maddr, ok := strings.Cut(p[3], "maddr="); ok {
		maddr, _, _ = strings.Cut(maddr, ";")
		all = append(all, place{strings.Trim(maddr, "[]"), uint16(port)})
	}
	return all
}

// addr returns the address that a place is, or false for a name.
func (p place) addr() (netip.AddrPort, bool) {
	ip, err := netip.ParseAddr(p.host)
	port := p.port
	if port == 0 {
		port = 5060
	}
	return netip.AddrPortFrom(ip, port), err == nil
}
