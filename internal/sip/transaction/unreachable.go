package transaction

import (
	"bytes"
	"fmt"
	"net/netip"

	"github.com/caddysip/caddysip/wire"
)

// maxQuotedBranch is longer than any branch of ours.
const maxQuotedBranch = 128

// Unreachable ends the client transaction of a request that could not be delivered to where it was
// sent (RFC 3261 §18.4), as an ICMP message says; its handler is told err on the next tick. sent is
// the start of the request, as far as that message quotes it.
//
// Anybody can send an ICMP message, so it counts only for the transaction whose branch it quotes,
// and only for the address that its request went to: whoever does not see what we send there cannot
// know the branch, and whoever does could lose it as well. One whose host has answered goes on: it
// was reached before.
func (t *Table) Unreachable(remote netip.AddrPort, sent []byte, err error) {
	if t.count.Load() == 0 {
		return
	}
	var buf [keyBufSize]byte
	key, ok := appendQuotedKey(buf[:0], sent)
	if !ok {
		return
	}
	c, ok := t.find(key).(*Client)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != trying || c.flow.Network.Reliable() || c.flow.Remote != remote {
		return
	}
	t.opts.Count(Unreachable)
	c.endSoon(c, fmt.Errorf("%s is not reachable: %w", remote, err))
}

// appendQuotedKey is appendClientKey for a request of which only the start is known. Ours have the
// topmost Via with its name written in full, and the branch without white space around it.
func appendQuotedKey(dst, sent []byte) (key []byte, ok bool) {
	name, rest, _ := bytes.Cut(sent, []byte{' '})
	_, via, _ := bytes.Cut(rest, []byte("\r\nVia: "))
	via, _, _ = bytes.Cut(via, []byte{'\n'})
	_, branch, _ := bytes.Cut(via, []byte(";branch="))
	end := bytes.IndexAny(branch, ";,\r")
	if end <= 0 || end > maxQuotedBranch {
		return dst, false
	}
	method := wire.LookupMethod(name)
	dst = append(dst, clientKey, byte(method))
	dst = appendField(dst, branch[:end])
	if method == wire.OtherMethod {
		dst = append(dst, name...)
	}
	return dst, true
}
