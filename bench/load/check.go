//go:build linux

package main

import (
	"bytes"
	"strconv"
	"strings"
)

// branchPrefix begins every branch of ours; the letter after it says which
// request it is, and the id after that whose.
const branchPrefix = "z9hG4bK-"

// transactionOf reads the branch of a Via value. ok is false when it is not
// one of ours.
func transactionOf(via []byte) (letter byte, slot int, seq uint32, ok bool) {
	branch, _ := param(via, "branch")
	rest, ours := bytes.CutPrefix(branch, []byte(branchPrefix))
	if !ours || len(rest) != 1+slotDigits+seqDigits {
		return 0, 0, 0, false
	}
	slot, seq, ok = readID(rest[1:])
	return rest[0], slot, seq, ok
}

// expected is what every response to a request must repeat of it.
type expected struct {
	port    int
	callID  []byte
	cseq    uint64
	method  string
	fromTag []byte
}

// response says what is wrong with a response that reached its client, or "".
// The transaction has been found by the branch of its only Via.
func (e *expected) response(m *message) string {
	switch {
	case len(m.via) != 1:
		return "a response whose Via headers are not the request's one"
	case !bytes.Equal(m.callID, e.callID):
		return "a response with another Call-ID"
	case m.cseq != e.cseq || string(m.cseqMethod) != e.method:
		return "a response with another CSeq"
	}
	// RFC 3581 §4: the request asked for rport, so the response tells it.
	if rport, _ := param(m.via[0], "rport"); !isNumber(rport, e.port) {
		return "a response whose Via lacks the rport asked for"
	}
	if tag, _ := param(m.from, "tag"); !bytes.Equal(tag, e.fromTag) {
		return "a response with another From tag"
	}
	// RFC 3261 §8.2.6.2: only a 100 may lack a To tag.
	if tag, _ := param(m.to, "tag"); len(tag) == 0 && m.status > 100 {
		return "a response without a To tag"
	}
	return ""
}

func isNumber(text []byte, n int) bool {
	value, err := strconv.Atoi(string(text))
	return err == nil && value == n
}

// expect reads off a request what its responses must repeat. The slices point
// into the request, so they follow what is written there later.
func expect(request []byte, port int) expected {
	var m message
	if err := m.parse(request); err != nil {
		panic("load: " + err.Error()) // One of our own templates.
	}
	tag, _ := param(m.from, "tag")
	return expected{port: port, callID: m.callID, cseq: m.cseq, method: string(m.cseqMethod), fromTag: tag}
}

// contactOf returns the Contact URI of a request of ours.
func contactOf(request []byte) []byte {
	var m message
	if err := m.parse(request); err != nil {
		panic("load: " + err.Error())
	}
	return addrURI(m.contact[0])
}

// answer appends a response to request: its Via, Record-Route, From, To,
// Call-ID and CSeq headers (RFC 3261 §8.2.6.2, §12.1.1), the tag where the To
// has none yet, and whatever extra holds: more headers, and after an empty line
// a body.
func answer(dst []byte, request *message, status, extra string) []byte {
	dst = append(append(append(dst, "SIP/2.0 "...), status...), crlf...)
	for _, via := range request.via {
		dst = appendHeader(dst, "Via", via)
	}
	for _, route := range request.recordRoute {
		dst = appendHeader(dst, "Record-Route", route)
	}
	dst = appendHeader(dst, "From", request.from)
	dst = appendHeader(dst, "To", request.to)
	if _, tagged := param(request.to, "tag"); !tagged {
		dst = append(append(dst[:len(dst)-len(crlf)], ";tag=answerer"...), crlf...)
	}
	dst = appendHeader(dst, "Call-ID", request.callID)
	dst = append(append(dst, "CSeq: "...), strconv.FormatUint(request.cseq, 10)...)
	dst = append(append(append(dst, ' '), request.cseqMethod...), crlf...)
	headers, body, _ := strings.Cut(extra, "\r\n\r\n")
	if len(headers) > 0 {
		dst = append(append(dst, headers...), crlf...)
	}
	dst = append(append(dst, "Content-Length: "...), strconv.Itoa(len(body))...)
	return append(append(dst, "\r\n\r\n"...), body...)
}

func appendHeader(dst []byte, name string, value []byte) []byte {
	dst = append(append(append(dst, name...), colonSpace...), value...)
	return append(dst, crlf...)
}
