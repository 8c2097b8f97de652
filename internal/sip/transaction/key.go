package transaction

import (
	"encoding/binary"

	"github.com/caddysip/caddysip/wire"
)

// keyBufSize is the room on the stack for the key of a look-up. A longer key is built on the heap.
const keyBufSize = 256

// The first byte of a key keeps the kinds apart: a request of ours that comes back to us is another
// transaction than the one that sent it.
const (
	serverKey  = 's'
	rfc2543Key = 'o'
	clientKey  = 'c'
)

// appendServerKey appends what identifies the server transaction of a request (RFC 3261 §17.2.3).
// An ACK and a CANCEL have the key of their INVITE.
func appendServerKey(dst []byte, m *wire.Message) []byte {
	method := m.Method
	if method == wire.ACK || method == wire.CANCEL {
		method = wire.INVITE
	}
	if !m.Via.HasMagicCookie() {
		return appendRFC2543Key(dst, m, method)
	}
	dst = append(dst, serverKey, byte(method))
	dst = binary.BigEndian.AppendUint16(dst, m.Via.Port)
	dst = appendField(dst, m.Via.Branch)
	dst = appendField(dst, m.Via.Host)
	if method == wire.OtherMethod {
		dst = append(dst, m.MethodName()...)
	}
	return dst
}

// appendRFC2543Key is for clients whose branch identifies nothing. The To tag of an ACK is that of
// the response, not of the INVITE, so it is not in the key of an INVITE; Server.ack compares it.
func appendRFC2543Key(dst []byte, m *wire.Message, method wire.Method) []byte {
	dst = append(dst, rfc2543Key, byte(method))
	dst = binary.BigEndian.AppendUint32(dst, m.CSeq)
	dst = appendField(dst, m.RequestURI())
	dst = appendField(dst, m.FromTag())
	dst = appendField(dst, m.Header(wire.CallID))
	start, end := m.Via.Span()
	dst = appendField(dst, m.Raw[start:end])
	if method != wire.INVITE {
		dst = appendField(dst, m.ToTag())
	}
	if method == wire.OtherMethod {
		dst = append(dst, m.MethodName()...)
	}
	return dst
}

// appendClientKey appends what identifies a client transaction: the branch and the method in CSeq
// (RFC 3261 §17.1.3). name is the method's when it has no constant.
func appendClientKey(dst []byte, method wire.Method, branch, name []byte) []byte {
	dst = append(dst, clientKey, byte(method))
	dst = appendField(dst, branch)
	if method == wire.OtherMethod {
		dst = append(dst, name...)
	}
	return dst
}

// appendField appends a length and a value, so that no two lists of values have the same key.
func appendField(dst, value []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(value)))
	return append(dst, value...)
}
