package digest

import (
	"encoding/hex"
	"errors"

	"github.com/caddysip/caddysip/wire"
)

// Limits on credentials, so that reading them costs little whatever they are.
const (
	MaxLength = 4096 // bytes
	MaxParams = 32
)

// Credentials is a view of the value of an Authorization or Proxy-Authorization header field (RFC
// 7616 §3.4). Only values with escapes are copied.
type Credentials struct {
	Username  []byte
	Realm     []byte
	Nonce     []byte
	URI       []byte
	Algorithm Algorithm // MD5 if the credentials name none
	NC        uint32    // the nonce count; 0 without qop, as before RFC 2617

	qop, nc, cnonce []byte // as written, because they are hashed
	response        [maxSize]byte
}

// The errors of Parse. Their texts contain nothing of the credentials.
var (
	ErrScheme    = errors.New("the scheme is not Digest")
	ErrSyntax    = errors.New("the credentials are no list of parameters")
	ErrTooLong   = errors.New("the credentials are too long")
	ErrParams    = errors.New("the credentials have too many parameters")
	ErrDuplicate = errors.New("a parameter of the credentials is there twice")
	ErrMissing   = errors.New("username, realm, nonce, uri or response is missing in the credentials")
	ErrResponse  = errors.New("the response in the credentials is no hash of their algorithm")
	ErrQop       = errors.New("the credentials have a qop other than auth")
	ErrCount     = errors.New("the credentials have qop, but no cnonce or no nc of eight hexadecimal digits above 0")
	ErrUsername  = errors.New("the credentials have their username in a form that was not offered")
)

// The parameters that are read, as bits.
const (
	username = 1 << iota
	realm
	nonce
	uri
	response
	algorithm
	qop
	nc
	cnonce
	userhash
	usernameExt

	required = username | realm | nonce | uri | response
)

// RealmOf returns the realm that credentials are for, or nil if their scheme is not Digest or they
// cannot be parsed up to the realm.
func RealmOf(value []byte) []byte {
	text, _ := find(value, realm)
	return text
}

// AnswersNothing reports whether credentials have an empty nonce. A phone made for IMS sends such
// ones before it has met a challenge, to say who it is (3GPP TS 24.229 §5.1.1.2.2).
func AnswersNothing(value []byte) bool {
	text, found := find(value, nonce)
	return found && len(text) == 0
}

// find returns the first value of a parameter, and whether it is there.
func find(value []byte, bit int) (text []byte, found bool) {
	rest, ok := cutScheme(value)
	for n := 0; ok && n < MaxParams; n++ {
		var name []byte
		if name, text, rest, ok = param(separators(rest)); ok && lookup(name) == bit {
			return text, true
		}
	}
	return nil, false
}

// cutScheme returns what follows the scheme, and reports whether the scheme is Digest.
func cutScheme(value []byte) ([]byte, bool) {
	const scheme = "Digest"
	if len(value) <= len(scheme) || !wire.EqualFold(value[:len(scheme)], scheme) || !blank(value[len(scheme)]) {
		return nil, false
	}
	return value[len(scheme):], true
}

// separators returns b without leading commas and white space.
func separators(b []byte) []byte {
	for len(b) > 0 && (blank(b[0]) || b[0] == ',') {
		b = b[1:]
	}
	return b
}

// Parse reads the value of one header field line. The error is one of those above.
func (c *Credentials) Parse(value []byte) error {
	*c = Credentials{Algorithm: MD5}
	rest, ok := cutScheme(value)
	if !ok {
		return ErrScheme
	}
	if len(value) > MaxLength {
		return ErrTooLong
	}
	found := 0
	var hash []byte
	for n := 0; ; n++ {
		if rest = separators(rest); len(rest) == 0 {
			break
		}
		if n == MaxParams {
			return ErrParams
		}
		name, text, after, ok := param(rest)
		if !ok {
			return ErrSyntax
		}
		rest = after
		bit := lookup(name)
		if found&bit != 0 {
			return ErrDuplicate // another server might believe the other one
		}
		found |= bit
		switch bit {
		case username:
			c.Username = text
		case realm:
			c.Realm = text
		case nonce:
			c.Nonce = text
		case uri:
			c.URI = text
		case response:
			hash = text
		case algorithm:
			c.Algorithm = ParseAlgorithm(text)
		case qop:
			c.qop = text
		case nc:
			c.nc = text
		case cnonce:
			c.cnonce = text
		case usernameExt:
			return ErrUsername
		case userhash:
			if !wire.EqualFold(text, "false") {
				return ErrUsername
			}
		}
	}
	if found&required != required || len(c.Username) == 0 {
		return ErrMissing
	}
	if found&qop == 0 {
		// RFC 3261 §22.4 item 8: a client that was offered qop must use it, but one of RFC 2543
		// cannot, so a server must accept credentials without it.
		c.nc, c.cnonce = nil, nil
	} else if err := c.count(found); err != nil {
		return err
	}
	if c.Algorithm == Other {
		return nil // nobody can check it
	}
	if len(hash) != 2*c.Algorithm.Size() {
		return ErrResponse
	}
	if _, err := hex.Decode(c.response[:], hash); err != nil {
		return ErrResponse
	}
	return nil
}

// count reads the nonce count, and checks the parameters that belong to it.
func (c *Credentials) count(found int) error {
	if !wire.EqualFold(c.qop, "auth") {
		return ErrQop
	}
	var n [4]byte
	if found&cnonce == 0 || len(c.nc) != 2*len(n) {
		return ErrCount
	}
	if _, err := hex.Decode(n[:], c.nc); err != nil {
		return ErrCount
	}
	c.NC = uint32(n[0])<<24 | uint32(n[1])<<16 | uint32(n[2])<<8 | uint32(n[3])
	if c.NC == 0 {
		return ErrCount
	}
	return nil
}

// param reads one parameter: a name, an equal sign, and a token or quoted string, with white space
// between them. It reports whether the end or a comma follows.
func param(b []byte) (name, value, rest []byte, ok bool) {
	end := 0
	for end < len(b) && b[end] != '=' && !blank(b[end]) {
		end++
	}
	name, b = b[:end], skip(b[end:])
	if !wire.IsToken(name) || len(b) == 0 || b[0] != '=' {
		return nil, nil, nil, false
	}
	b = skip(b[1:])
	end = 0
	if len(b) > 0 && b[0] == '"' {
		end = quoted(b)
		value = wire.Unquote(b[:end])
	} else {
		for end < len(b) && b[end] != ',' && b[end] > ' ' && b[end] != '"' && b[end] != 0x7f {
			end++
		}
		value = b[:end]
	}
	rest = skip(b[end:])
	return name, value, rest, end > 0 && (len(rest) == 0 || rest[0] == ',')
}

// quoted returns the length of the quoted string that b starts with, or 0 if it is not closed or
// has a control character.
func quoted(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c < ' ' && c != '\t' || c == 0x7f:
			return 0
		case c == '\\':
			if i++; i < len(b) && (b[i] < ' ' || b[i] == 0x7f) {
				return 0
			}
		}
	}
	return 0
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

func skip(b []byte) []byte {
	for len(b) > 0 && blank(b[0]) {
		b = b[1:]
	}
	return b
}

// lookup returns the bit of a parameter, or 0 for one that is not read.
func lookup(name []byte) int {
	for _, p := range [...]struct {
		name string
		bit  int
	}{
		{"username", username}, {"realm", realm}, {"nonce", nonce}, {"uri", uri},
		{"response", response}, {"algorithm", algorithm}, {"qop", qop}, {"nc", nc},
		{"cnonce", cnonce}, {"userhash", userhash}, {"username*", usernameExt},
	} {
		if wire.EqualFold(name, p.name) {
			return p.bit
		}
	}
	return 0
}
