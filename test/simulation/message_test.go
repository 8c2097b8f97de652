package simulation

import (
	"fmt"
	"strings"
)

// message is a SIP message as those who send it here write it: no folded lines, no compact forms
// but those of the server's.
type message struct {
	start  string
	fields [][2]string
	body   string
}

func parse(raw string) *message {
	head, body, _ := strings.Cut(raw, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	m := &message{start: lines[0], body: body}
	for _, l := range lines[1:] {
		name, value, _ := strings.Cut(l, ":")
		m.fields = append(m.fields, [2]string{strings.TrimSpace(name), strings.TrimSpace(value)})
	}
	return m
}

// get returns the first value of a field.
func (m *message) get(name string) string {
	for _, f := range m.fields {
		if strings.EqualFold(f[0], name) {
			return f[1]
		}
	}
	return ""
}

// all returns all values of a field.
func (m *message) all(name string) (values []string) {
	for _, f := range m.fields {
		if strings.EqualFold(f[0], name) {
			values = append(values, f[1])
		}
	}
	return values
}

// status is 0 of a request.
func (m *message) status() (status int) {
	if strings.HasPrefix(m.start, "SIP/2.0 ") {
		fmt.Sscan(m.start[8:], &status)
	}
	return status
}

// method is the request's, also of a response.
func (m *message) method() string {
	_, method, _ := strings.Cut(m.get("CSeq"), " ")
	return method
}

func (m *message) uri() string { return strings.Fields(m.start)[1] }

func (m *message) branch() string { return param(m.get("Via"), "branch") }

// param returns a parameter of a field.
func param(value, name string) string {
	_, rest, ok := strings.Cut(value, ";"+name+"=")
	if !ok {
		return ""
	}
	if i := strings.IndexAny(rest, ";>, "); i >= 0 {
		rest = rest[:i]
	}
	return rest
}

// uriOf returns what is between < and >.
func uriOf(value string) string {
	_, rest, _ := strings.Cut(value, "<")
	uri, _, _ := strings.Cut(rest, ">")
	return uri
}

// userOf returns the user of a URI, alone or in a field.
func userOf(value string) string {
	_, rest, _ := strings.Cut(value, "sip:")
	user, _, _ := strings.Cut(rest, "@")
	return user
}

// build writes a message from its lines; what is empty is left out.
func build(body string, lines ...string) string {
	var b strings.Builder
	for _, l := range lines {
		if l != "" {
			b.WriteString(l + "\r\n")
		}
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	return b.String()
}

// respond answers a request. tag goes into To if it has none.
func respond(m *message, status, tag string, more ...string) string {
	lines := []string{"SIP/2.0 " + status}
	for _, v := range m.all("Via") {
		lines = append(lines, "Via: "+v)
	}
	for _, v := range m.all("Record-Route") {
		lines = append(lines, "Record-Route: "+v)
	}
	to := m.get("To")
	if tag != "" && param(to, "tag") == "" {
		to += ";tag=" + tag
	}
	lines = append(lines, "From: "+m.get("From"), "To: "+to, "Call-ID: "+m.get("Call-ID"), "CSeq: "+m.get("CSeq"))
	return build("", append(lines, more...)...)
}
