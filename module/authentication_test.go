package module

import (
	"io"
	"net/netip"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddysip/caddysip/internal/engine"
	"github.com/caddysip/caddysip/internal/sip/transport"
)

func listenOn(addrs ...string) (list []engine.Address) {
	for _, a := range addrs {
		list = append(list, engine.Address{Network: transport.UDP, Addr: netip.MustParseAddrPort(a)})
	}
	return list
}

func TestWarnOpen(t *testing.T) {
	for _, tc := range []struct {
		name   string
		listen []engine.Address
		do     func(s *Server)
		want   bool
	}{
		{"public", listenOn("192.0.2.10:5060"),
			func(s *Server) { s.addTrusting("register"); s.addTrusting("register") }, true},
		{"public IPv6", listenOn("127.0.0.1:5060", "[2001:db8::1]:5060"), func(s *Server) { s.addTrusting("register") },
			true},
		{"nobody believes anything", listenOn("192.0.2.10:5060"), func(*Server) {}, false},
		{"with authentication", listenOn("192.0.2.10:5060"),
			func(s *Server) { s.addTrusting("register"); s.authenticates = true }, false},
		{"loopback", listenOn("127.0.0.1:5060", "[::1]:5060"), func(s *Server) { s.addTrusting("register") }, false},
		{"private", listenOn("10.1.2.3:5060", "192.168.1.1:5060", "[fd00::1]:5060", "[fe80::1]:5060"),
			func(s *Server) { s.addTrusting("register") }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var entries []string
			hook := zap.Hooks(func(e zapcore.Entry) error {
				entries = append(entries, e.Level.String())
				return nil
			})
			a := &App{generation: &engine.Generation{Listen: tc.listen}}
			s := &Server{app: a, logger: zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{}), zapcore.AddSync(io.Discard), zapcore.DebugLevel), hook)}
			for range tc.listen {
				a.owners = append(a.owners, s)
			}
			tc.do(s)
			s.warnOpen()
			if got := strings.Join(entries, " "); got != map[bool]string{true: "warn"}[tc.want] {
				t.Errorf("logged %q", got)
			}
		})
	}
	// Another server's address is none of this one's.
	a := &App{generation: &engine.Generation{Listen: listenOn("192.0.2.10:5060", "127.0.0.1:5060")}}
	s := &Server{app: a, logger: zap.NewExample(zap.Hooks(func(e zapcore.Entry) error {
		t.Error(e.Message)
		return nil
	}))}
	a.owners = []*Server{new(Server), s}
	s.addTrusting("register")
	s.warnOpen()
}
