package hostile

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/internal/inside"
)

// TestFewDescriptors opens 200 connections to a process that may have 64 descriptors: everything
// else that needs descriptors goes on, and existing connections stay.
func TestFewDescriptors(t *testing.T) {
	inChild(t, func(t *testing.T) {
		addr, admin := handlertest.FreeAddr(t), handlertest.FreeAddr(t)
		text := handlertest.Caddyfile(addr, "register\nproxy")
		s := handlertest.StartCaddyfile(t, addr, strings.Replace(text, "admin off", "admin "+admin.String(), 1))
		alice, bob := registered(t, s, "alice"), tcp(t, s, "bob")
		bob.register()
		setLimit(t, unix.RLIMIT_NOFILE, 64)
		before := s.Metric("caddy_sip_dropped_total", "reason=descriptors")

		crowd := exec.Command(os.Args[0], "-test.run=^TestCrowd$")
		crowd.Env = append(os.Environ(), fmt.Sprintf("%s=%s 200", crowdOf, s.Addr))
		in, err := crowd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := crowd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "connections to be refused", func() bool {
			return s.Metric("caddy_sip_dropped_total", "reason=descriptors")-before >= 150
		})

		res, err := http.Get("http://" + admin.String() + "/config/apps/sip")
		if err != nil {
			t.Fatalf("the admin endpoint: %v", err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != 200 || !strings.Contains(string(body), addr.String()) {
			t.Errorf("the admin endpoint: %d, %v, %s", res.StatusCode, err, body)
		}
		alice.request("MESSAGE", "sip:bob@127.0.0.1")
		bob.Expect("MESSAGE ")
		bob.request("MESSAGE", "sip:alice@127.0.0.1")
		alice.Expect("MESSAGE ")
		alice.register()

		in.Close()
		_ = crowd.Wait()
		eventually(t, "the crowd's connections to be closed", func() bool { return len(inside.AppOf(s.App()).Engine.Transport.Conns()) <= 1 })
		p := tcp(t, s, "new")
		p.request("OPTIONS", "sip:127.0.0.1")
		p.Expect("SIP/2.0 200")
	})
}
