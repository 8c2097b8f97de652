package module_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/internal/inside"
)

func init() {
	caddy.RegisterModule(broken{})
}

// broken is an app that doesn't start.
type broken struct{}

func (broken) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "broken", New: func() caddy.Module { return new(broken) }}
}

func (*broken) Start() error { return errors.New("it is broken") }
func (*broken) Stop() error  { return nil }

// servers is a Caddyfile with one server for each address and its directives.
func servers(blocks ...any) string {
	var b strings.Builder
	for i := 0; i < len(blocks); i += 2 {
		fmt.Fprintf(&b, "\t\t%s {\n%s\n\t\t}\n", blocks[i], blocks[i+1])
	}
	return "{\n\tadmin off\n\tsip {\n\t\tdomain example.com\n" + b.String() + "\t}\n}\n"
}

func ask(p *handlertest.Peer, status string) {
	p.Send(request("MESSAGE", "sip:bob@example.com"))
	p.Expect("SIP/2.0 " + status + "\r\n")
}

func TestReload(t *testing.T) {
	addr := handlertest.FreeAddr(t)
	s := handlertest.StartCaddyfile(t, addr, servers(addr, "act tell one"))
	all := peers(s)
	sockets := slices.Clone(inside.AppOf(s.App()).Listeners())
	secret := string(s.App().Secret())
	if len(secret) != 32 {
		t.Errorf("a secret of %d bytes", len(secret))
	}
	engine := inside.AppOf(s.App()).Engine
	for _, name := range []string{"one", "two", "three"} {
		s.Load(servers(addr, "act tell "+name))
		for _, p := range all {
			ask(p, "200 "+name)
		}
		if !slices.Equal(inside.AppOf(s.App()).Listeners(), sockets) || inside.AppOf(s.App()).Engine != engine || string(s.App().Secret()) != secret {
			t.Error("a reload has moved sockets, engine or secret")
		}
	}
}

// TestReloadUnderLoad asks without a pause while configurations come and go. Each request is
// answered, by the one or the other.
func TestReloadUnderLoad(t *testing.T) {
	addr := handlertest.FreeAddr(t)
	s := handlertest.StartCaddyfile(t, addr, servers(addr, "act tell one"))
	done := make(chan struct{})
	var asking sync.WaitGroup
	for _, p := range append(peers(s), peers(s)...) {
		asking.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				p.Send(request("MESSAGE", "sip:bob@example.com", "CSeq: 1", fmt.Sprint("CSeq: ", n)))
				if m := p.Receive(); !strings.HasPrefix(m.Text, "SIP/2.0 200 ") || m.Header("CSeq") != fmt.Sprint(n, " MESSAGE") {
					t.Errorf("got\n%s", m.Text)
				}
			}
		})
	}
	for i := range 20 {
		s.Load(servers(addr, fmt.Sprint("act tell ", i)))
	}
	close(done)
	asking.Wait()
}

func TestFailingReload(t *testing.T) {
	addr, other, taken := handlertest.FreeAddr(t), handlertest.FreeAddr(t), handlertest.FreeAddr(t)
	s := handlertest.StartCaddyfile(t, addr, servers(addr, "act tell one"))
	all := peers(s)
	holder, err := net.Listen("tcp", taken.String())
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	for want, config := range map[string]string{
		"listening on tcp/" + taken.String(): servers(addr, "act tell two", other, "act tell two", taken, "act tell two"),
		"overlaps with":                      servers(addr, "act tell two", "udp/:"+fmt.Sprint(addr.Port()), "act tell two"),
	} {
		if err := s.TryLoad(config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		for _, p := range append(all, peers(s)...) {
			ask(p, "200 one")
		}
		if n := len(inside.AppOf(s.App()).Engine.Transport.Listeners()); n != 2 {
			t.Errorf("%d listeners", n)
		}
		// What was opened already is closed again.
		isFree(t, other)
	}
	s.Load(servers(addr, "act tell two"))
	for _, p := range all {
		ask(p, "200 two")
	}
}

func isFree(t *testing.T, addr netip.AddrPort) {
	t.Helper()
	l, err := net.Listen("tcp", addr.String())
	if err != nil {
		t.Errorf("the port is still taken: %v", err)
		return
	}
	l.Close()
	c, err := net.ListenPacket("udp", addr.String())
	if err != nil {
		t.Errorf("the port is still taken: %v", err)
		return
	}
	c.Close()
}

// TestRollback loads configurations in which another app doesn't start, before ours or after it:
// they start in any order.
func TestRollback(t *testing.T) {
	addr, other := handlertest.FreeAddr(t), handlertest.FreeAddr(t)
	s := handlertest.StartCaddyfile(t, addr, servers(addr, "act tell one"))
	all := peers(s)
	var config map[string]any
	if err := json.Unmarshal(handlertest.Adapt(t, servers(addr, "act tell two", other, "act tell two")), &config); err != nil {
		t.Fatal(err)
	}
	config["apps"].(map[string]any)["broken"] = struct{}{}
	for range 10 {
		text, err := json.Marshal(config)
		if err != nil {
			t.Fatal(err)
		}
		if err := caddy.Load(text, true); err == nil || !strings.Contains(err.Error(), "it is broken") {
			t.Fatalf("got %v", err)
		}
		for _, p := range all {
			ask(p, "200 one")
		}
		isFree(t, other)
	}
	s.Load(servers(addr, "act tell three", other, "act tell three"))
	for _, p := range all {
		ask(p, "200 three")
	}
}

// TestRemoved takes one of two servers out of the configuration. It goes on as it was until the
// grace period ends; then its port is free and its connections are closed.
func TestRemoved(t *testing.T) {
	inner, outer := handlertest.FreeAddr(t), handlertest.FreeAddr(t)
	s := handlertest.StartCaddyfile(t, inner, servers(inner, "act tell inner", outer, "act fail outer"))
	out := *s
	out.Addr = outer
	in, left := peers(s), peers(&out)
	s.Load(servers(inner, "act tell changed"))
	for _, p := range append(left, peers(&out)...) {
		ask(p, "403 outer")
	}
	for _, p := range in {
		ask(p, "200 changed")
	}
	// It is taken back while it is leaving.
	s.Load(servers(inner, "act tell inner", outer, "act fail other"))
	for _, p := range append(left, peers(&out)...) {
		ask(p, "403 other")
	}
	last := out.TCP()
	ask(last, "403 other")
	s.Load(strings.Replace(servers(inner, "act tell last"), "domain", "grace_period 1ms\n\t\tdomain", 1))
	last.Closed()
	// Each of its listeners has a timer of its own.
	for deadline := time.Now().Add(20 * time.Second); len(inside.AppOf(s.App()).Engine.Transport.Listeners()) > 2; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("the listeners are still open")
		}
	}
	isFree(t, outer)
	for _, p := range in {
		ask(p, "200 last")
	}
	// And back again.
	s.Load(servers(inner, "act tell inner", outer, "act fail outer"))
	for _, p := range peers(&out) {
		ask(p, "403 outer")
	}
}

// TestMoved moves a server from one address to all of the machine's, and back: who asks there is
// served by the configuration in force at once, over the connections that were there.
func TestMoved(t *testing.T) {
	addr := handlertest.FreeAddr(t)
	all := fmt.Sprint(":", addr.Port())
	s := handlertest.StartCaddyfile(t, addr, servers(addr, "act tell one"))
	list := peers(s)
	for i, at := range []string{all, addr.String(), all, addr.String()} {
		name := fmt.Sprint("step", i)
		s.Load(strings.Replace(servers(at, "act tell "+name), "domain", "grace_period 1ms\n\t\tdomain", 1))
		list = append(list, peers(s)...)
		for _, p := range list {
			ask(p, "200 "+name)
		}
	}
}

// TestValidateOpensNothing checks a configuration while somebody else has the port.
func TestValidateOpensNothing(t *testing.T) {
	addr := handlertest.FreeAddr(t)
	l, err := net.Listen("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.ListenPacket("udp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	validate := func(directives string) error {
		var config caddy.Config
		if err := json.Unmarshal(handlertest.Adapt(t, servers(addr, directives)), &config); err != nil {
			t.Fatal(err)
		}
		return caddy.Validate(&config)
	}
	if err := validate("act tell one"); err != nil {
		t.Errorf("validating: %v", err)
	}
	if err := validate("invoke none\n&(none) {\n invoke none\n}"); err == nil || !strings.Contains(err.Error(), "invokes itself") {
		t.Errorf("validating: %v", err)
	}
}

func TestStopFreesEverything(t *testing.T) {
	addr := handlertest.FreeAddr(t)
	s := handlertest.StartCaddyfile(t, addr, servers(addr, "act tell one"))
	p := s.TCP()
	ask(p, "200 one")
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	p.Closed()
	isFree(t, addr)
}
