//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// streamMost is how long a message over TCP may be: longer than any that the
// load asks for.
const streamMost = 64 << 10

var errNoLength = errors.New("a message over TCP without Content-Length")

// frame cuts the first message off what has come over a TCP connection, by its
// Content-Length (RFC 3261 §18.3). Without a whole message it returns none.
// Empty lines before a message are keep-alives, and say nothing (§7.5).
func frame(data []byte) (first, rest []byte, err error) {
	for bytes.HasPrefix(data, crlf) {
		data = data[len(crlf):]
	}
	end := bytes.Index(data, []byte("\r\n\r\n"))
	if end < 0 {
		if len(data) > streamMost {
			return nil, nil, fmt.Errorf("no end of the headers in %d bytes", len(data))
		}
		return nil, data, nil
	}
	length := -1
	_, headers, _ := bytes.Cut(data[:end+len(crlf)], crlf)
	for length < 0 {
		line, others, ok := bytes.Cut(headers, crlf)
		if !ok {
			return nil, nil, errNoLength
		}
		headers = others
		name, value, _ := bytes.Cut(line, colonSpace[:1])
		if !isHeader(bytes.TrimSpace(name), "content-length", 'l') {
			continue
		}
		length, err = strconv.Atoi(string(bytes.TrimSpace(value)))
		if err != nil || length < 0 || length > streamMost {
			return nil, nil, fmt.Errorf("bad Content-Length %q", value)
		}
	}
	whole := end + len("\r\n\r\n") + length
	if len(data) < whole {
		return nil, data, nil
	}
	return data[:whole], data[whole:], nil
}
