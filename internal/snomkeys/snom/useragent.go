package snom

import (
	"strconv"
	"strings"
)

// Agent is what a phone's User-Agent tells of it.
type Agent struct {
	Model    string  // as the phone writes it, such as 370, D785, M700, PA1
	Firmware string  // as the phone writes it, such as 8.7.5.48 or 873_19_20130321; may be empty
	Version  Version // the numbers of Firmware
}

// Version is a firmware's number, compared by Compare or ==. Parts that the
// firmware does not have are zero.
type Version [4]uint32

// Compare returns -1, 0 or 1, as v is older than w, the same or newer.
func (v Version) Compare(w Version) int {
	for i := range v {
		if v[i] != w[i] {
			if v[i] < w[i] {
				return -1
			}
			return 1
		}
	}
	return 0
}

// String returns the four numbers with dots, 8.7.3.19.
func (v Version) String() string {
	b := make([]byte, 0, 16)
	for i, n := range v {
		if i > 0 {
			b = append(b, '.')
		}
		b = strconv.AppendUint(b, uint64(n), 10)
	}
	return string(b)
}

// IsSnom reports whether a User-Agent, of SIP or HTTP, is a Snom phone's. It
// does not allocate.
func IsSnom(userAgent string) bool {
	_, ok := afterSnom(userAgent)
	return ok
}

// ParseUserAgent reads the User-Agent that a Snom phone sends in SIP
// (snom370/8.7.5.48, snom105-2.04g, snomM700/03.23.0005 (MAC=…)) or in HTTP
// (Mozilla/4.0 (compatible; snomD785-SIP 10.1.33.33 …)). It reports false for
// any other phone's. A Snom phone that doesn't say which it is yields an empty
// Agent and true. It does not allocate.
func ParseUserAgent(userAgent string) (Agent, bool) {
	rest, ok := afterSnom(userAgent)
	if !ok {
		return Agent{}, false
	}
	rest = strings.TrimPrefix(rest, " ") // HTTP: "Snom M900 05.20.0001 …"

	n := 0
	for n < len(rest) && isAlphanumeric(rest[n]) {
		n++
	}
	model, rest := rest[:n], rest[n:]
	if !strings.ContainsAny(model, "0123456789") && !strings.EqualFold(model, "MP") {
		return Agent{}, true // "snom lid 3605": the name is not in it
	}
	switch {
	case hasPrefixFold(rest, "-sip "): // HTTP
		rest = rest[len("-sip "):]
	case rest != "" && strings.IndexByte("/- ", rest[0]) >= 0:
		rest = rest[1:]
	default:
		return Agent{Model: model}, true
	}

	n = 0
	for n < len(rest) && (isAlphanumeric(rest[n]) || rest[n] == '.' || rest[n] == '_') {
		n++
	}
	if n == 0 || !isDigit(rest[0]) {
		return Agent{Model: model}, true
	}
	return Agent{model, rest[:n], ParseVersion(rest[:n])}, true
}

// ParseVersion reads a firmware's numbers. Dots part them, and what follows a
// number's digits is passed over: 2.04g is 2.4. Firmware of 2013 joins the
// first three by writing a digit each, and appends its date:
// 873_19_20130321 is 8.7.3.19.
func ParseVersion(firmware string) Version {
	var v Version
	if head, tail, ok := strings.Cut(firmware, "_"); ok && len(head) == 3 && allDigits(head) {
		for i := range 3 {
			v[i] = uint32(head[i] - '0')
		}
		v[3] = leadingNumber(tail)
		return v
	}
	for i := range v {
		part, rest, more := strings.Cut(firmware, ".")
		v[i] = leadingNumber(part)
		if !more {
			break
		}
		firmware = rest
	}
	return v
}

// afterSnom returns what follows the name in a Snom phone's User-Agent.
func afterSnom(userAgent string) (rest string, ok bool) {
	// A phone's browser says Mozilla/4.0 (compatible; snom370-SIP …).
	if _, after, found := strings.Cut(userAgent, "(compatible; "); found {
		userAgent = after
	}
	if !hasPrefixFold(userAgent, "snom") {
		return "", false
	}
	return userAgent[len("snom"):], true
}

// leadingNumber returns the number with which s begins. One that doesn't fit
// stops growing; no firmware has it.
func leadingNumber(s string) uint32 {
	var n uint32
	for i := 0; i < len(s) && isDigit(s[i]); i++ {
		if n >= 1e8 {
			break
		}
		n = n*10 + uint32(s[i]-'0')
	}
	return n
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

func allDigits(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isAlphanumeric(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
