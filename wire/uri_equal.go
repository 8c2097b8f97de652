package wire

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"slices"
)

// URIFingerprint is what of a URI decides whether it is equal to another one (RFC 3261 §19.1.4, RFC
// 5954 §4.2), as hashes, for those who compare one URI with many: comparing two fingerprints takes
// no longer than going through their parameters. EqualURI compares two URIs once. A fingerprint
// refers to no part of the URI, and Set uses its memory again.
//
// The hashes have a random seed, so that nobody outside can look for two URIs with the same ones.
// It is a different seed in each process: don't store fingerprints.
type URIFingerprint struct {
	base   uint64      // hash of what must be the same: all but params
	params []paramHash // parameters that must not differ when both URIs have them, sorted by name
}

// maxFingerprintParams bounds the work. URIs with more parameters than that, which nobody has, are
// equal only if they have the same ones, in any order.
const maxFingerprintParams = 16

type paramHash struct{ name, value uint64 }

var fingerprintSeed = maphash.MakeSeed()

// Set makes f the fingerprint of u.
func (f *URIFingerprint) Set(u *URI) {
	f.params = f.params[:0]
	if u.Scheme != SIP && u.Scheme != SIPS {
		f.base = maphash.Bytes(fingerprintSeed, u.Raw) // equal only when written alike
		return
	}
	var buf [256]byte
	b := append(buf[:0], byte(u.Scheme), byte(u.Port>>8), byte(u.Port), presence(u.User))
	b = appendPart(b, u.User)
	b = appendPart(b, u.Password)
	b = appendHostPart(b, u.Host)
	b = binary.LittleEndian.AppendUint64(b, headersHash(u.Headers))
	var known [len(mustMatch)]paramHash
	for rest := u.Params; len(rest) > 0; {
		var p paramHash
		var name, value int
		p.name, name = partHash(rest[1:], '=')
		if rest = rest[1+name:]; len(rest) > 0 && rest[0] == '=' {
			rest = rest[1:]
		}
		p.value, value = partHash(rest, ';')
		if rest = rest[value:]; name == 0 {
			continue
		}
		if i := slices.Index(mustMatchHashes[:], p.name); i < 0 {
			f.params = append(f.params, p)
		} else if known[i].name == 0 {
			known[i] = paramHash{1, p.value}
		}
	}
	for _, p := range known {
		b = append(b, byte(p.name))
		b = binary.LittleEndian.AppendUint64(b, p.value)
	}
	if len(f.params) > maxFingerprintParams {
		var sum uint64
		for _, p := range f.params {
			sum += (p.name ^ p.value>>7) * partPrime
		}
		b = binary.LittleEndian.AppendUint64(append(b, 1), sum)
		f.params = f.params[:0]
	}
	f.base = maphash.Bytes(fingerprintSeed, b)
	if len(f.params) > 1 {
		// A parameter must not be there twice. If it is, one of its values counts.
		slices.SortFunc(f.params, func(a, b paramHash) int {
			switch {
			case a.name < b.name || a.name == b.name && a.value < b.value:
				return -1
			case a == b:
				return 0
			}
			return 1
		})
		f.params = slices.CompactFunc(f.params, func(a, b paramHash) bool { return a.name == b.name })
	}
}

// Equal reports whether the URIs of the two fingerprints are equal.
func (f *URIFingerprint) Equal(g *URIFingerprint) bool {
	if f.base != g.base {
		return false
	}
	a, b := f.params, g.params
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].name < b[0].name:
			a = a[1:]
		case a[0].name > b[0].name:
			b = b[1:]
		case a[0].value != b[0].value:
			return false
		default:
			a, b = a[1:], b[1:]
		}
	}
	return true
}

// EqualURI reports whether two URIs are equal by RFC 3261 §19.1.4 and RFC 5954 §4.2. URIs with a
// scheme other than sip and sips are equal when they are written alike. To compare one URI with
// many, use URIFingerprint.
func EqualURI(a, b *URI) bool {
	var f, g URIFingerprint
	f.Set(a)
	g.Set(b)
	return f.Equal(&g)
}

// mustMatch are the parameters that make two URIs differ even when only one of them has it.
var mustMatch = [...]string{"user", "ttl", "method", "maddr", "transport"}

var mustMatchHashes = func() (hashes [len(mustMatch)]uint64) {
	for i, name := range mustMatch {
		hashes[i], _ = partHash([]byte(name), '=')
	}
	return hashes
}()

// headersHash returns a hash of the headers of a URI that does not depend on their order.
func headersHash(headers []byte) (sum uint64) {
	if len(headers) == 0 {
		return 0
	}
	for part := range bytes.SplitSeq(headers, []byte("&")) {
		var buf [64]byte
		text := appendPart(buf[:0], part)
		for i, c := range text {
			text[i] = lower(c)
		}
		sum += maphash.Bytes(fingerprintSeed, text) | 1 // never 0
	}
	return sum
}

func presence(b []byte) byte {
	if b == nil {
		return 0
	}
	return 1
}

// partHash returns the hash of what is before the next semicolon or end, and its length. Texts that
// differ only in case and escapes have the same hash. It is made to be fast: whoever finds two
// texts with the same hash can only have contacts of his own taken for one.
func partHash(b []byte, end byte) (h uint64, n int) {
	h = partSeed
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch c {
		case ';', end:
			return h, i
		case '%':
			var n int
			if c, n = unescape(b[i:]); n > 1 {
				if charClass[c]&reserved != 0 {
					h = (h ^ 256) * partPrime // an escaped reserved character equals only itself
				}
				i += n - 1
			}
		}
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		h = (h ^ uint64(c)) * partPrime
	}
	return h, len(b)
}

// partPrime is the prime of FNV-1a.
const partPrime = 1099511628211

var partSeed = maphash.String(fingerprintSeed, "parts")

// appendPart appends a part of a URI with its escapes decoded, and its length. An escaped reserved
// character equals only itself.
func appendPart(dst, b []byte) []byte {
	start := len(dst)
	for i := 0; i < len(b); {
		c, n := b[i], 1
		if c == '%' {
			if c, n = unescape(b[i:]); n > 1 && charClass[c]&reserved != 0 {
				dst = append(dst, 0, 1)
			} else if c == 0 {
				dst = append(dst, 0)
			}
		}
		dst = append(dst, c)
		i += n
	}
	return binary.LittleEndian.AppendUint16(dst, uint16(len(dst)-start))
}

// appendHostPart appends a host in canonical form: an IPv6 address may be written in several ways
// (RFC 5954 §4.2).
func appendHostPart(dst, host []byte) []byte {
	if len(host) > 0 && host[0] == '[' {
		if addr, ok := HostAddr(host); ok {
			a := addr.As16()
			return append(append(dst, '['), a[:]...)
		}
	}
	start := len(dst)
	for _, c := range host {
		dst = append(dst, lower(c))
	}
	return binary.LittleEndian.AppendUint16(dst, uint16(len(dst)-start))
}

// equalUnescaped reports whether two texts are equal with their escapes decoded. An escaped
// reserved character equals only itself.
func equalUnescaped[T ~string | ~[]byte](a []byte, b T, fold bool) bool {
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		ca, na := unescape(a[i:])
		cb, nb := unescape(b[j:])
		if ca != cb && (!fold || lower(ca) != lower(cb)) || na != nb && charClass[ca]&reserved != 0 {
			return false
		}
		i, j = i+na, j+nb
	}
	return i == len(a) && j == len(b)
}
