package engine

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"strconv"

	"github.com/caddysip/caddysip/wire"
)

// seed makes the tags and branches of this process unpredictable to others.
var seed = maphash.MakeSeed()

// StatelessTag appends the To tag for a response to m: the same one for a retransmission, as RFC
// 3261 §8.2.7 demands of a stateless UAS.
func StatelessTag(dst []byte, m *wire.Message) []byte {
	var h maphash.Hash
	h.SetSeed(seed)
	h.Write(m.Header(wire.CallID))
	h.WriteByte(0)
	h.Write(m.FromTag())
	h.WriteByte(0)
	h.Write(m.Via.Branch)
	return AppendHex(dst, h.Sum64())
}

// isStatelessACK reports whether m is the ACK to a final response that we sent without a
// transaction: its To tag is the one we gave.
func isStatelessACK(m *wire.Message) bool {
	if m.Method != wire.ACK || len(m.ToTag()) != 16 {
		return false
	}
	var buf [16]byte
	return string(m.ToTag()) == string(StatelessTag(buf[:0], m))
}

// LoopHash returns a hash of everything that decides how a request is routed, for the branch of the
// Via that a proxy adds (RFC 3261 §16.6 step 8): a request that comes back with the same hash is a
// loop, one with another hash a spiral. Matchers may have decided by anything in the request. The
// hash has from, its source, and by, the proxy in the configuration that it came to, instead: a PBX
// may send a request back to us unchanged.
func LoopHash(m *wire.Message, from netip.AddrPort, by uint64) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	var room [64]byte
	source, _ := from.AppendBinary(room[:0]) // has no errors
	h.Write(binary.LittleEndian.AppendUint64(source, by))
	h.Write(m.RequestURI())
	for _, id := range [...]wire.HeaderID{
		wire.From, wire.To, wire.CallID, wire.Route, wire.ProxyRequire,
	} {
		h.WriteByte(0)
		for v := m.Values(id); v.Next(); {
			h.Write(v.Value())
			h.WriteByte(',')
		}
	}
	h.WriteByte(byte(m.CSeq >> 24))
	h.WriteByte(byte(m.CSeq >> 16))
	h.WriteByte(byte(m.CSeq >> 8))
	h.WriteByte(byte(m.CSeq))
	return h.Sum64()
}

// StatelessBranch returns the number for the branch of a request that is forwarded statelessly: the
// same one for a retransmission (RFC 3261 §16.11).
func StatelessBranch(m *wire.Message) uint64 {
	return maphash.Bytes(seed, m.Via.Branch)
}

// AppendBranch appends a Via branch made of a number unique to this request and of its LoopHash.
func AppendBranch(dst []byte, unique, loop uint64) []byte {
	dst = append(dst, wire.MagicCookie...)
	return AppendHex(AppendHex(dst, unique), loop)
}

// AppendHex appends n as sixteen hexadecimal digits.
func AppendHex(dst []byte, n uint64) []byte {
	var b [16]byte
	s := strconv.AppendUint(b[:0], n, 16)
	for range 16 - len(s) {
		dst = append(dst, '0')
	}
	return append(dst, s...)
}
