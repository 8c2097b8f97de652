package digest

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"strings"
)

// Algorithm is a hash algorithm of Digest authentication.
type Algorithm uint8

// The algorithms of RFC 8760 §2.1, from the weakest to the strongest. Other is any other one, those
// that end in -sess among them. NumAlgorithms is for arrays.
const (
	Other Algorithm = iota
	MD5
	SHA512_256
	SHA256
	NumAlgorithms
)

var names = [NumAlgorithms]string{"", "MD5", "SHA-512-256", "SHA-256"}

// String returns the name as it is written in a header field. It is empty for Other.
func (a Algorithm) String() string { return names[a] }

// ParseAlgorithm returns the algorithm with that name, in any case, or Other.
func ParseAlgorithm[T ~string | ~[]byte](name T) Algorithm {
	for a := MD5; a < NumAlgorithms; a++ {
		if len(name) == len(names[a]) && strings.EqualFold(string(name), names[a]) {
			return a
		}
	}
	return Other
}

// Size returns the length of a hash in bytes. In hexadecimal it is twice as long.
func (a Algorithm) Size() int {
	switch a {
	case Other:
		return 0
	case MD5:
		return md5.Size
	}
	return sha256.Size
}

// maxSize is the largest Size.
const maxSize = sha256.Size

// sum writes the hash of data to dst and returns it.
func (a Algorithm) sum(dst *[maxSize]byte, data []byte) []byte {
	switch a {
	case MD5:
		s := md5.Sum(data)
		return dst[:copy(dst[:], s[:])]
	case SHA512_256:
		*dst = sha512.Sum512_256(data)
	case SHA256:
		*dst = sha256.Sum256(data)
	default:
		return nil
	}
	return dst[:]
}

// HA1 returns, in hexadecimal, the hash that is kept of a user in place of the password (RFC 7616
// §3.4.2).
func HA1(a Algorithm, user, realm, password string) string {
	var room [maxSize]byte
	return hex.EncodeToString(a.sum(&room, []byte(user+":"+realm+":"+password)))
}

// ValidHA1 reports whether text can be an HA1 of the algorithm: hexadecimal, and of the right
// length.
func ValidHA1(a Algorithm, text string) bool {
	_, err := hex.DecodeString(text)
	return err == nil && a != Other && len(text) == 2*a.Size()
}
