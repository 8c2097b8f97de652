//go:build linux

package main

import (
	"bytes"
	"cmp"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strconv"
)

const (
	digestRealm  = "example.com"
	digestURI    = "sip:example.com"
	digestCnonce = "5ac1b9e2"
)

// algorithms are those that the phones can answer a challenge with.
var algorithms = map[string]func() hash.Hash{"MD5": md5.New, "SHA-256": sha256.New}

// digest is the authentication of a number of phones (RFC 7616, RFC 8760). Each
// asks once for a nonce, which it uses for all its requests from then on.
type digest struct {
	algorithm string
	hash      hash.Hash
	users     []credentials
	ha2       string // The same for all: method and URI are.
	text, sum []byte
}

type credentials struct {
	ha1    string
	nonce  string // Empty before the first challenge.
	opaque string
	count  uint32 // How many requests have used the nonce.
}

func newDigest(algorithm string, users int) *digest {
	d := &digest{algorithm: algorithm, hash: algorithms[algorithm](), users: make([]credentials, users)}
	d.ha2 = string(d.hex([]byte("REGISTER:" + digestURI)))
	for i := range d.users {
		d.users[i].ha1 = string(d.hex(fmt.Appendf(nil, "%d:%s:%s", firstUser+i, digestRealm, password(i))))
	}
	return d
}

// password is that of the user with a number.
func password(user int) string { return fmt.Sprintf("secret%d", firstUser+user) }

func (d *digest) hex(text []byte) []byte {
	d.hash.Reset()
	d.hash.Write(text)
	return hex.AppendEncode(nil, d.hash.Sum(d.sum[:0]))
}

// authorize appends a request of the user's, with the credentials that the
// server has asked for as its last header but one. Before the server has asked
// there are none.
func (d *digest) authorize(dst, request []byte, user int) []byte {
	c := &d.users[user]
	if c.nonce == "" {
		return append(dst, request...)
	}
	c.count++
	count := fmt.Sprintf("%08x", c.count)
	d.text = append(append(append(d.text[:0], c.ha1...), ':'), c.nonce...)
	d.text = append(append(append(d.text, ':'), count...), ":"+digestCnonce+":auth:"...)
	response := d.hex(append(d.text, d.ha2...))

	dst = append(dst, request[:len(request)-len(tail)]...)
	dst = fmt.Appendf(dst, "\r\nAuthorization: Digest username=\"%d\",realm=\"%s\",nonce=\"%s\",uri=\"%s\","+
		"qop=auth,nc=%s,cnonce=\"%s\",response=\"%s\",algorithm=%s",
		firstUser+user, digestRealm, c.nonce, digestURI, count, digestCnonce, response, d.algorithm)
	if c.opaque != "" {
		dst = fmt.Appendf(dst, ",opaque=\"%s\"", c.opaque)
	}
	return append(dst, tail...)
}

// challenged takes the user's new nonce out of a 401. It returns what is wrong
// with that, or "": a nonce that was good is only replaced when it is stale.
func (d *digest) challenged(user int, m *message) string {
	c := &d.users[user]
	for _, challenge := range m.challenges {
		if cmp.Or(challengeParam(challenge, "algorithm"), "MD5") != d.algorithm {
			continue
		}
		stale := challengeParam(challenge, "stale")
		if c.nonce != "" && stale != "true" && stale != "TRUE" {
			return "credentials that were refused"
		}
		if challengeParam(challenge, "realm") != digestRealm || challengeParam(challenge, "qop") != "auth" {
			return "a challenge with another realm, or without qop=auth"
		}
		c.nonce, c.opaque, c.count = challengeParam(challenge, "nonce"), challengeParam(challenge, "opaque"), 0
		if c.nonce == "" {
			return "a challenge without a nonce"
		}
		return ""
	}
	return "a 401 without a challenge for " + d.algorithm
}

// challengeParam returns a parameter of a WWW-Authenticate value, or "".
func challengeParam(challenge []byte, name string) string {
	rest := challenge
	for {
		_, after, ok := bytes.Cut(rest, []byte(name+"="))
		if !ok {
			return ""
		}
		before := rest[len(rest)-len(after)-len(name)-2]
		rest = after
		if before != ' ' && before != ',' {
			continue // The end of another name: "nonce" is one of "cnonce".
		}
		if value, quoted := bytes.CutPrefix(after, []byte(`"`)); quoted {
			value, _, _ = bytes.Cut(value, []byte(`"`))
			return string(value)
		}
		value, _, _ := bytes.Cut(after, []byte(","))
		return string(bytes.TrimSpace(value))
	}
}

// writeUsers writes a file for caddysip's option users_file: the users that
// newDigest makes, with a hash for each algorithm.
func writeUsers(w io.Writer, users int) error {
	for _, algorithm := range []string{"MD5", "SHA-256"} {
		for i, c := range newDigest(algorithm, users).users {
			line := strconv.Itoa(firstUser+i) + ":" + digestRealm + ":" + algorithm + ":" + c.ha1 + "\n"
			if _, err := io.WriteString(w, line); err != nil {
				return fmt.Errorf("writing the users: %w", err)
			}
		}
	}
	return nil
}
