package digestauth

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/caddysip/caddysip/handler/handlertest"
	simulated "github.com/caddysip/caddysip/internal/phone"
)

// TestPhones has simulated Snom phones register, call each other and hang up, all of it authenticated.
func TestPhones(t *testing.T) {
	for _, options := range []string{"", "algorithm SHA-256 MD5", "algorithm SHA-512-256", "algorithm MD5"} {
		for _, transport := range []string{"udp", "tcp"} {
			t.Run(options+" "+transport, func(t *testing.T) {
				s := handlertest.Start(t, "digest_auth {\n"+users+options+"\n}\nregister\nproxy")
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				check := func(err error) {
					t.Helper()
					if err != nil {
						t.Fatal(err)
					}
				}
				start := func(user, password string) (*simulated.Phone, *simulated.Recorder) {
					t.Helper()
					rec := new(simulated.Recorder)
					p, err := simulated.New(simulated.Config{Server: s.Addr.String(), User: user, Password: password, Transport: transport, Trace: rec.Record})
					check(err)
					check(p.Start(ctx))
					t.Cleanup(func() { p.Close() })
					return p, rec
				}
				alice, sent := start("alice", "secret-alice")
				bob, heard := start("bob", "secret-bob")
				check(alice.Register(ctx))
				check(bob.Register(ctx))
				algorithm := strings.Fields(options + " algorithm MD5")[1] // what Snom phones are offered first
				if got := sent.Sent("REGISTER ", "Authorization: Digest ", "algorithm="+algorithm+","); len(got) != 1 {
					t.Errorf("%d REGISTERs with %s", len(got), algorithm)
				}
				out, err := alice.Dial(ctx, "bob")
				check(err)
				in, err := bob.WaitIncoming(ctx)
				check(err)
				check(in.Answer(ctx))
				check(out.Wait(ctx, simulated.Answered))
				check(in.Hangup(ctx))
				check(out.Wait(ctx, simulated.Ended))
				if got := heard.Received("INVITE ", "uthorization"); len(got) > 0 {
					t.Errorf("the callee gets the caller's credentials:\n%s", got[0])
				}
				mallory, _ := start("alice", "secret-bob")
				if err := mallory.Register(ctx); err == nil || !strings.Contains(err.Error(), "401") {
					t.Errorf("with a wrong password: %v", err)
				}
			})
		}
	}
}
