//go:build linux

package main

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
)

// authorization returns the credentials of a request, or "".
func authorization(data []byte) string {
	_, after, _ := bytes.Cut(data, []byte("\r\nAuthorization: "))
	value, _, _ := bytes.Cut(after, crlf)
	return string(value)
}

func challenge(realm, nonce, more string) string {
	return fmt.Sprintf("WWW-Authenticate: Digest realm=\"%s\", nonce=\"%s-sha\", qop=\"auth\", algorithm=SHA-256%s\r\n"+
		"WWW-Authenticate: Digest realm=\"%s\",qop=\"auth\",nonce=\"%s-md5\"%s", realm, nonce, more, realm, nonce, more)
}

func md5Hex(text string) string    { return fmt.Sprintf("%x", md5.Sum([]byte(text))) }
func sha256Hex(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

// TestDigest has a phone challenged, and its nonce used until it is stale.
func TestDigest(t *testing.T) {
	for _, test := range []struct {
		algorithm, suffix string
		hash              func(string) string
	}{{"MD5", "-md5", md5Hex}, {"SHA-256", "-sha", sha256Hex}} {
		t.Run(test.algorithm, func(t *testing.T) {
			b := newBench(t)
			b.begin(newRegister(b.runner, []*socket{b.phone}, 1, 1, newDigest(test.algorithm, 1)))
			wantCredentials := func(data []byte, nonce string, count int) {
				t.Helper()
				ha1 := test.hash("1000000:example.com:secret1000000")
				ha2 := test.hash("REGISTER:sip:example.com")
				answer := test.hash(fmt.Sprintf("%s:%s:%08x:5ac1b9e2:auth:%s", ha1, nonce, count, ha2))
				want := fmt.Sprintf(`Digest username="1000000",realm="example.com",nonce="%s",uri="sip:example.com",`+
					`qop=auth,nc=%08x,cnonce="5ac1b9e2",response="%s",algorithm=%s`, nonce, count, answer, test.algorithm)
				if got := authorization(data); got != want {
					t.Errorf("credentials\n%s, want\n%s", got, want)
				}
			}

			first, data := b.next(b.phone)
			if got := authorization(data); got != "" {
				t.Errorf("credentials before there was a nonce: %s", got)
			}
			b.reply(b.phone, first, "401 Unauthorized", challenge("example.com", "one", ""))
			m, data := b.next(b.phone)
			wantCredentials(data, "one"+test.suffix, 1)
			if m.cseq != first.cseq+1 || bytes.Equal(m.via[0], first.via[0]) || !bytes.Equal(m.callID, first.callID) {
				t.Errorf("not a new request of the same phone: CSeq %d after %d, Via %q after %q",
					m.cseq, first.cseq, m.via, first.via)
			}
			// Without an answer the very same bytes go out again.
			b.runner.op.retry(0)
			if _, again := b.next(b.phone); !bytes.Equal(again, data) {
				t.Errorf("repeated as %q", again)
			}
			accept := func(m *message) {
				b.reply(b.phone, m, "200 OK", "Contact: "+string(m.contact[0])+";expires=3600")
			}
			accept(m)
			if b.runner.ended != 1 {
				t.Fatal("the operation has not ended")
			}

			b.runner.begin(0)
			m, data = b.next(b.phone)
			wantCredentials(data, "one"+test.suffix, 2)
			b.reply(b.phone, m, "401 Unauthorized", challenge("example.com", "two", ", stale=true"))
			m, data = b.next(b.phone)
			wantCredentials(data, "two"+test.suffix, 1)
			accept(m)
			if b.runner.ended != 2 || b.runner.errors != 0 || b.runner.late != 0 {
				t.Errorf("%d ended, %d late, %d errors %q", b.runner.ended, b.runner.late, b.runner.errors, b.runner.samples)
			}
		})
	}
}

// TestDigestFaults has the server refuse what it should accept, and ask for
// what no phone can give.
func TestDigestFaults(t *testing.T) {
	good := challenge("example.com", "two", "")
	for name, test := range map[string]struct {
		known     bool // The phone has authenticated before.
		challenge string
		want      string
	}{
		"refused":       {true, good, "refused"},
		"another realm": {false, challenge("example.org", "one", ""), "realm"},
		"no challenge":  {false, "Server: x", "without a challenge"},
		"no nonce":      {false, strings.ReplaceAll(good, " nonce=", " cnonce="), "without a nonce"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			d := newDigest("SHA-256", 1)
			if test.known {
				d.users[0].nonce = "one"
			}
			b.begin(newRegister(b.runner, []*socket{b.phone}, 1, 1, d))
			m, _ := b.next(b.phone)
			b.reply(b.phone, m, "401 Unauthorized", test.challenge)
			if b.runner.errors != 1 || b.runner.ended != 1 || !strings.Contains(b.runner.samples[0], test.want) {
				t.Errorf("%d errors %q, %d ended", b.runner.errors, b.runner.samples, b.runner.ended)
			}
		})
	}
	t.Run("refused at once", func(t *testing.T) {
		b := newBench(t)
		b.begin(newRegister(b.runner, []*socket{b.phone}, 1, 1, newDigest("MD5", 1)))
		for range 2 {
			m, _ := b.next(b.phone)
			b.reply(b.phone, m, "401 Unauthorized", good)
		}
		if b.runner.errors != 1 || len(b.phone.out) != 0 {
			t.Errorf("%d errors %q, %d sent after that", b.runner.errors, b.runner.samples, len(b.phone.out))
		}
	})
}

func TestWriteUsers(t *testing.T) {
	var out strings.Builder
	if err := writeUsers(&out, 2); err != nil {
		t.Fatal(err)
	}
	want := "1000000:example.com:MD5:" + md5Hex("1000000:example.com:secret1000000") + "\n" +
		"1000001:example.com:MD5:" + md5Hex("1000001:example.com:secret1000001") + "\n" +
		"1000000:example.com:SHA-256:" + sha256Hex("1000000:example.com:secret1000000") + "\n" +
		"1000001:example.com:SHA-256:" + sha256Hex("1000001:example.com:secret1000001") + "\n"
	if out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

// TestContacts has two phones with one address-of-record.
func TestContacts(t *testing.T) {
	b := newBench(t)
	op := newRegister(b.runner, []*socket{b.phone}, 2, 1, nil)
	op.perAOR = 2
	b.begin(op)
	one, _ := b.next(b.phone)
	b.reply(b.phone, one, "200 OK", "Contact: "+string(one.contact[0])+";expires=3600")
	b.runner.begin(0)
	two, _ := b.next(b.phone)
	if !bytes.Equal(addrURI(one.to), addrURI(two.to)) {
		t.Errorf("two addresses-of-record: %q and %q", one.to, two.to)
	}
	if bytes.Equal(one.callID, two.callID) || bytes.Equal(one.contact[0], two.contact[0]) {
		t.Errorf("one phone: Call-ID %q, Contact %q", one.callID, one.contact)
	}
	both := "Contact: " + string(two.contact[0]) + ";expires=3600, " + string(one.contact[0]) + ";expires=3599"
	b.reply(b.phone, two, "200 OK", both)
	if b.runner.errors != 0 || b.runner.ended != 2 {
		t.Errorf("%d errors %q, %d ended", b.runner.errors, b.runner.samples, b.runner.ended)
	}
	b.runner.begin(0)
	one, _ = b.next(b.phone)
	b.reply(b.phone, one, "200 OK", both)
	if b.runner.errors != 1 || !strings.Contains(b.runner.samples[0], "another phone's Contact") {
		t.Errorf("the other's contact first: %d errors %q", b.runner.errors, b.runner.samples)
	}
}
