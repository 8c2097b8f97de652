package engine

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"
)

var hex16 = regexp.MustCompile(`^[0-9a-f]{16}$`)

func TestStatelessTag(t *testing.T) {
	tag := string(StatelessTag([]byte("x"), message(t, invite)))
	if tag[0] != 'x' || !hex16.MatchString(tag[1:]) {
		t.Fatalf("tag %q", tag)
	}
	tag = tag[1:]
	same := func(edits ...string) bool {
		return string(StatelessTag(nil, message(t, strings.NewReplacer(edits...).Replace(invite)))) == tag
	}
	if !same() || !same("Max-Forwards: 70", "Max-Forwards: 69") || !same("CSeq: 7 INVITE", "CSeq: 7 ACK", "INVITE sip", "ACK sip") {
		t.Error("a retransmission, or the ACK, has another tag")
	}
	if same("call-1", "call-2") || same("tag=f1", "tag=f2") || same("z9hG4bK1", "z9hG4bK2") {
		t.Error("another request has the same tag")
	}

	ack := func(edits ...string) bool {
		text := strings.NewReplacer("INVITE", "ACK", "To: <sip:bob@example.com>", "To: <sip:bob@example.com>;tag="+tag).Replace(invite)
		return isStatelessACK(message(t, strings.NewReplacer(edits...).Replace(text)))
	}
	if !ack() {
		t.Error("the ACK is not recognised")
	}
	if ack("ACK", "BYE") || ack(tag, strings.Repeat("0", 16)) || ack(";tag="+tag, "") || ack(tag, "t1") || ack("z9hG4bK1", "z9hG4bK2") {
		t.Error("what is not the ACK is taken for it")
	}
}

func TestBranches(t *testing.T) {
	m := message(t, invite)
	from := netip.MustParseAddrPort("192.0.2.7:5060")
	loop := LoopHash(m, from, 1)
	branch := AppendBranch([]byte("x"), 0x1234, loop)
	if want := "xz9hG4bK0000000000001234"; !strings.HasPrefix(string(branch), want) || len(branch) != len(want)+16 {
		t.Fatalf("branch %q", branch)
	}
	hash := func(edits ...string) uint64 {
		return LoopHash(message(t, strings.NewReplacer(edits...).Replace(invite)), from, 1)
	}
	// What changes with each hop doesn't count.
	if hash() != loop || hash("Max-Forwards: 70", "Max-Forwards: 69") != loop || hash("z9hG4bK1", "z9hG4bK2") != loop {
		t.Error("the same request has another hash")
	}
	for _, edits := range [][]string{
		{"INVITE sip:bob", "INVITE sip:carol"}, {"<sip:192.0.2.30;lr>", "<sip:192.0.2.31;lr>"}, {"Route: <sip:192.0.2.30;lr>\n", ""},
		{"tag=f1", "tag=f2"}, {"To: <sip:bob@", "To: <sip:carol@"}, {"call-1", "call-2"}, {"CSeq: 7", "CSeq: 8"}, {"CSeq: 7", "CSeq: 263"}, {"CSeq: 7", "CSeq: 117440512"},
		{"Route:", "Proxy-Require: x\nRoute:"},
	} {
		if hash(edits...) == loop {
			t.Errorf("with %q the hash is the same", edits)
		}
	}
	if LoopHash(m, netip.MustParseAddrPort("192.0.2.8:5060"), 1) == loop || LoopHash(m, from, 2) == loop {
		t.Error("from another source, or by another proxy, the hash is the same")
	}
	if StatelessBranch(m) != StatelessBranch(message(t, invite)) || StatelessBranch(m) == StatelessBranch(message(t, strings.Replace(invite, "z9hG4bK1", "z9hG4bK2", 1))) {
		t.Error("StatelessBranch is wrong")
	}
}

func TestAppendHex(t *testing.T) {
	for n, want := range map[uint64]string{0: "0000000000000000", 0xab: "00000000000000ab", 1<<64 - 1: "ffffffffffffffff"} {
		if got := string(AppendHex([]byte("x"), n)); got != "x"+want {
			t.Errorf("%x is %s", n, got)
		}
	}
}

func BenchmarkStatelessTag(b *testing.B) {
	m := message(b, invite)
	var buf [16]byte
	b.ReportAllocs()
	for b.Loop() {
		StatelessTag(buf[:0], m)
	}
}

func BenchmarkRemember(b *testing.B) {
	e := New()
	defer e.Destruct()
	m := message(b, invite)
	b.ReportAllocs()
	for b.Loop() {
		e.Remember(m)
	}
}
