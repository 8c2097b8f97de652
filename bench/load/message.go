//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// message is a view of one received SIP message: what the checks look at, and
// nothing decoded that they do not. Its slices point into the datagram.
type message struct {
	method []byte // Empty in a response.
	uri    []byte
	status int // Zero in a request.
	reason []byte

	via, recordRoute, route, contact [][]byte // One entry per value, top first.
	challenges                       [][]byte // WWW-Authenticate, one entry a line.

	from, to, callID, cseqMethod, maxForwards, contentType, body []byte

	cseq uint64
}

var (
	colonSpace = []byte(": ")
	crlf       = []byte("\r\n")
	version    = []byte("SIP/2.0")
)

// parse reads data into m, reusing its memory. An error says what no SIP
// message may look like.
func (m *message) parse(data []byte) error {
	*m = message{
		via: m.via[:0], recordRoute: m.recordRoute[:0], route: m.route[:0], contact: m.contact[:0],
		challenges: m.challenges[:0],
	}
	line, rest, ok := bytes.Cut(data, crlf)
	if !ok {
		return errors.New("no CRLF after the start line")
	}
	if err := m.startLine(line); err != nil {
		return err
	}
	length := -1
	for {
		line, rest, ok = bytes.Cut(rest, crlf)
		if !ok {
			return errors.New("no empty line after the headers")
		}
		if len(line) == 0 {
			break
		}
		name, value, ok := bytes.Cut(line, colonSpace[:1])
		if !ok {
			return fmt.Errorf("header line %q has no colon", line)
		}
		name, value = bytes.TrimSpace(name), bytes.TrimSpace(value)
		if isHeader(name, "content-length", 'l') {
			n, err := strconv.Atoi(string(value))
			if err != nil || length >= 0 {
				return fmt.Errorf("bad or second Content-Length %q", value)
			}
			length = n
			continue
		}
		if err := m.header(name, value); err != nil {
			return err
		}
	}
	// RFC 3261 §18.3: over UDP the body may be cut by Content-Length, and a
	// missing one means all that is left.
	if length > len(rest) {
		return fmt.Errorf("Content-Length is %d and the body %d bytes", length, len(rest))
	}
	if length >= 0 {
		if length < len(rest) {
			return fmt.Errorf("%d bytes after the body", len(rest)-length)
		}
		rest = rest[:length]
	}
	m.body = rest
	if len(m.via) == 0 || m.from == nil || m.to == nil || m.callID == nil || m.cseqMethod == nil {
		return errors.New("one of Via, From, To, Call-ID, CSeq is missing")
	}
	return nil
}

func (m *message) startLine(line []byte) error {
	first, rest, _ := bytes.Cut(line, []byte{' '})
	second, third, ok := bytes.Cut(rest, []byte{' '})
	if bytes.Equal(first, version) {
		status, err := strconv.Atoi(string(second))
		if err != nil || status < 100 || status > 699 || !ok {
			return fmt.Errorf("bad status line %q", line)
		}
		m.status, m.reason = status, third
		return nil
	}
	if !bytes.Equal(third, version) || len(first) == 0 || len(second) == 0 {
		return fmt.Errorf("bad request line %q", line)
	}
	m.method, m.uri = first, second
	return nil
}

func (m *message) header(name, value []byte) error {
	switch {
	case isHeader(name, "via", 'v'):
		m.via = appendValues(m.via, value)
	case isHeader(name, "from", 'f'):
		return once(&m.from, name, value)
	case isHeader(name, "to", 't'):
		return once(&m.to, name, value)
	case isHeader(name, "call-id", 'i'):
		return once(&m.callID, name, value)
	case isHeader(name, "cseq", 0):
		number, method, _ := bytes.Cut(value, []byte{' '})
		n, err := strconv.ParseUint(string(number), 10, 32)
		if err != nil {
			return fmt.Errorf("bad CSeq %q", value)
		}
		m.cseq = n
		return once(&m.cseqMethod, name, bytes.TrimSpace(method))
	case isHeader(name, "contact", 'm'):
		m.contact = appendValues(m.contact, value)
	case isHeader(name, "record-route", 0):
		m.recordRoute = appendValues(m.recordRoute, value)
	case isHeader(name, "route", 0):
		m.route = appendValues(m.route, value)
	case isHeader(name, "www-authenticate", 0):
		m.challenges = append(m.challenges, value)
	case isHeader(name, "max-forwards", 0):
		return once(&m.maxForwards, name, value)
	case isHeader(name, "content-type", 'c'):
		return once(&m.contentType, name, value)
	}
	return nil
}

func once(field *[]byte, name, value []byte) error {
	if *field != nil {
		return fmt.Errorf("second %s header", name)
	}
	*field = value
	return nil
}

// isHeader reports whether name is the header called long (in lower case) or,
// where it has one, its compact form.
func isHeader(name []byte, long string, compact byte) bool {
	if len(name) == 1 {
		return compact != 0 && name[0]|0x20 == compact
	}
	if len(name) != len(long) {
		return false
	}
	for i := range name {
		if name[i]|0x20 != long[i]|0x20 {
			return false
		}
	}
	return true
}

// appendValues adds the comma-separated values of one header line. Commas in
// quotes and in angle brackets belong to the value.
func appendValues(values [][]byte, line []byte) [][]byte {
	start, quoted, bracket := 0, false, false
	for i, c := range line {
		switch {
		case c == '"' && (i == 0 || line[i-1] != '\\'):
			quoted = !quoted
		case quoted:
		case c == '<':
			bracket = true
		case c == '>':
			bracket = false
		case c == ',' && !bracket:
			values = append(values, bytes.TrimSpace(line[start:i]))
			start = i + 1
		}
	}
	return append(values, bytes.TrimSpace(line[start:]))
}

// splitAddr cuts a From, To, Contact or Route value into its URI and the
// parameters behind it, with their semicolon. Angle brackets in a quoted
// display name or parameter mean nothing.
func splitAddr(value []byte) (uri, params []byte) {
	quoted := false
	for i, c := range value {
		switch {
		case c == '"' && (i == 0 || value[i-1] != '\\'):
			quoted = !quoted
		case quoted:
		case c == '<':
			end := bytes.IndexByte(value[i:], '>')
			if end < 0 {
				return nil, nil
			}
			return value[i+1 : i+end], value[i+end+1:]
		case c == ';':
			return value[:i], value[i:]
		}
	}
	return value, nil
}

// addrURI returns the URI of a From, To, Contact or Route value.
func addrURI(value []byte) []byte {
	uri, _ := splitAddr(value)
	return uri
}

// param returns the value of a header parameter, and whether it is there.
func param(value []byte, name string) ([]byte, bool) {
	_, params := splitAddr(value)
	for len(params) > 0 {
		params = params[1:]
		end, quoted := len(params), false
		for i, c := range params {
			if c == '"' && (i == 0 || params[i-1] != '\\') {
				quoted = !quoted
			}
			if c == ';' && !quoted {
				end = i
				break
			}
		}
		key, val, _ := bytes.Cut(params[:end], []byte{'='})
		if string(bytes.TrimSpace(key)) == name {
			return bytes.TrimSpace(val), true
		}
		params = params[end:]
	}
	return nil, false
}
