package transport

import (
	"bytes"
	"testing"

	"github.com/caddysip/caddysip/wire"
)

// FuzzBorders holds the borders that a stream is cut at against what is read from each message: two
// that disagree would take a part of one message for another.
func FuzzBorders(f *testing.F) {
	sip := func(lines, body string) string {
		return "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/TCP h\r\nFrom: <sip:a>\r\nTo: <sip:a>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n" + lines + "\r\n" + body
	}
	for _, s := range []string{
		sip("Content-Length: 0\r\n", sip("l: 3\r\n", "abc")),
		sip("l:\r\n 3\r\n", "abc\r\n\r\n"+sip("CONTENT-length :\t0\r\n", "")),
		sip("Content-Length: 0\r\nContent-Length: 3\r\n", "abc"),
		sip("X: a\n\nContent-Length: 0\r\n", "") + sip("Content-Length: 0\r\n", ""),
		sip("X: a\rContent-Length: 3\r\nl: 0\r\n", "abc"),
		sip("Content-Length\r\n : 3\r\n", "abc"),
		sip("Content-Length: 3\x00\r\n", "abc"),
		sip(" l: 3\r\nl: 0\r\n", "abc"),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		for {
			for empty := true; empty; {
				in, empty = bytes.CutPrefix(bytes.TrimLeft(in, "\n"), []byte("\r\n"))
			}
			var fr framer
			size, bad := fr.scan(in, wire.MaxSize)
			if bad != nil || size == 0 {
				return
			}
			checkBorders(t, in[:size])
			in = in[size:]
		}
	})
}

// checkBorders parses what was cut out. What is refused then is nobody's message.
func checkBorders(t *testing.T, data []byte) {
	m := new(wire.Message)
	if m.Parse(bytes.Clone(data)) != nil {
		return
	}
	head, ok := bytes.CutSuffix(data, m.Body())
	end := bytes.Index(bytes.ReplaceAll(head, []byte("\r\n"), []byte("\n")), []byte("\n\n"))
	if !ok || end+2 != len(bytes.ReplaceAll(head, []byte("\r\n"), []byte("\n"))) {
		t.Errorf("the body of %q is %q", data, m.Body())
	}
}
