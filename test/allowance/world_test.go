package allowance

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"

	_ "github.com/caddysip/caddysip"
	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/internal/engine"
	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/test/simnet"
)

// configuration is a kind of server.
type configuration struct {
	name    string
	options string   // of the app
	text    string   // of the sip option
	digest  bool     // users must show a password
	hosts   []string // addresses that it has configured
	trust   []string
}

// has reports whether the configuration names an address. What the server sends to itself harms
// nobody else.
func (c *configuration) has(a netip.AddrPort) bool { return a == server || contains(c.hosts, a.Addr()) }
func (c *configuration) trusts(a netip.Addr) bool  { return contains(c.trust, a) }

func contains(list []string, a netip.Addr) bool {
	for _, s := range list {
		if s == a.String() {
			return true
		}
	}
	return false
}

const users = `digest_auth {
	realm ` + serverIP + `
	user 101 secret-of-101
	user 102 secret-of-102
	user 103 secret-of-103
	user 104 secret-of-104
	failures off
}
`

// except lets those at an address in without a password.
func except(ip string) string {
	return "@users not remote_ip " + ip + "\ndigest_auth @users" + strings.TrimPrefix(users, "digest_auth")
}

var configurations = []configuration{
	{name: "open", text: "snom_lrc\nregister\nproxy\n"},
	{name: "digest", text: users + "snom_lrc\nregister\nproxy\n", digest: true},
	{name: "open trunk", text: "register\n@out uri_user 0*\nproxy @out sip:trunk.example\nproxy\n", hosts: []string{trunkIP}},
	{name: "trunk", text: "trust " + trunkIP + "\n" + except(trunkIP) +
		"register\n@out uri_user 0*\nproxy @out sip:trunk.example sip:" + trunkIP + "\nproxy\n",
		digest: true, hosts: []string{trunkIP}, trust: []string{trunkIP}},
	{name: "edge", text: "trust " + edgeIP + "\n" + except(edgeIP) + "register {\npath from " + edgeIP + "\n}\nproxy\n",
		digest: true, trust: []string{edgeIP}},
	{name: "keys", options: keys, text: users + "snom_lrc\nregister\nproxy\n", digest: true},
	{name: "open keys", options: keys, text: "register\nproxy\n"},
}

// keys are of all users.
const keys = `keys {
	profile all {
		users *
		key 1 {
			light on
			label "Lamp of {user}"
		}
		key 2 {
			number 112
		}
	}
}
`

// caddyfile returns the configuration's Caddyfile.
func (c *configuration) caddyfile() string {
	return "{\n\tadmin off\n\tsip {\n\t\tdomain " + serverIP + "\n\t\tstorage memory\n" + c.options + "\n\t\t" + server.String() + " {\n" + c.text + "\n\t\t}\n\t}\n}\n"
}

// start starts the server and its cast. It is called in a bubble.
func start(t *testing.T, rt testingT, c configuration) *run {
	r := &run{t: rt, config: c, model: newModel(c)}
	n := simnet.New(1)
	host := n.Host(serverIP)
	engine.Network = host
	r.looked.resolve()
	n.Tap(func(p simnet.Packet) {
		if p.From.Addr() == server.Addr() {
			r.mu.Lock()
			r.left = append(r.left, p)
			r.mu.Unlock()
		}
	})
	for w := range cast {
		addr := netip.MustParseAddrPort(casting[w].addr)
		h := n.Host(addr.Addr().String())
		u, err := h.ListenUDP(addr)
		if err != nil {
			t.Fatal(err)
		}
		go discardPackets(u)
		r.actors[w] = &actor{who: w, addr: addr, udp: u, host: h}
	}
	if err := caddy.Load(handlertest.Adapt(t, c.caddyfile()), true); err != nil {
		t.Fatalf("%v\n%s", err, c.caddyfile())
	}
	return r
}

func (r *run) engine() *engine.Engine {
	app, err := caddy.ActiveContext().AppIfConfigured("sip")
	if err != nil {
		r.t.Fatalf("%v", err)
	}
	return inside.AppOf(app.(*module.App)).Engine
}

func (r *run) end() {
	_ = caddy.Stop()
	for _, a := range r.actors {
		a.udp.Close()
		if a.stream != nil {
			a.stream.Close()
		}
	}
	synctest.Wait()
}

func (c *configuration) dial(a *actor) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return a.host.DialFrom(ctx, netip.AddrPort{}, server)
}

func discard(c io.Reader) (int64, error) { return io.Copy(io.Discard, c) }

func discardPackets(c net.PacketConn) {
	buf := make([]byte, 65536)
	for {
		if _, _, err := c.ReadFrom(buf); err != nil {
			return
		}
	}
}
