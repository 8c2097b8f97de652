package domains

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/wire"
)

// hosts is a DNS: names by address, and the other way round.
type hosts map[string]string

func (h hosts) LookupAddr(_ context.Context, addr string) ([]string, error) {
	if h[addr] == "" {
		return nil, errors.New("no name")
	}
	return strings.Fields(h[addr]), nil
}

func (h hosts) LookupNetIP(_ context.Context, _, host string) (all []netip.Addr, err error) {
	for _, a := range strings.Fields(h[host]) {
		all = append(all, netip.MustParseAddr(a))
	}
	return all, nil
}

func aorOf(s *Set, text string) string {
	u, err := wire.ParseURI([]byte(text))
	if err != nil {
		return err.Error()
	}
	aor, ok := s.AppendAOR(nil, &u)
	if !ok {
		return ""
	}
	return string(aor)
}

// TestFindNames checks that a name of one of our addresses is ours if it leads back.
func TestFindNames(t *testing.T) {
	s := New([]string{"example.com"}, []netip.AddrPort{netip.MustParseAddrPort("192.0.2.10:5060")}, nil)
	s.findNames(t.Context(), hosts{
		"192.0.2.10":             "pbx.office.example. Phones.example. static-10.isp.example. cdn.example.",
		"pbx.office.example.":    "192.0.2.11 192.0.2.10",
		"Phones.example.":        "::ffff:192.0.2.10",
		"static-10.isp.example.": "",
		"cdn.example.":           "198.51.100.1",
	})
	for host, want := range map[string]string{
		"pbx.office.example": "a@example.com", "PBX.office.example": "a@example.com", "phones.example": "a@example.com",
		"static-10.isp.example": "", "cdn.example": "", "office.example": "",
	} {
		if got := aorOf(s, "sip:a@"+host); got != want {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
}

// TestRemember checks that names are forgotten after a while, and that there are never too many.
func TestRemember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New([]string{"example.com"}, []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:5060")}, nil)
		s.Remember("PBX.example")
		if got := aorOf(s, "sip:a@pbx.example"); got != "a@example.com" {
			t.Errorf("got %q", got)
		}
		time.Sleep(aliasLifetime)
		if got := aorOf(s, "sip:a@pbx.example"); got != "" {
			t.Errorf("after %v it is still %q", aliasLifetime, got)
		}
		for i := range 1000 {
			s.Remember(fmt.Sprint(i, ".example"))
		}
		s.Remember("localhost")
		if n := len(*s.all.Load()); n != maxAliases+1 || !s.Alias([]byte("999.example")) {
			t.Errorf("%d names are remembered", n)
		}
		time.Sleep(aliasLifetime)
		s.Remember("last.example")
		all := *s.all.Load()
		if len(all) != 2 || !s.Alias([]byte("localhost")) || !s.Alias([]byte("last.example")) {
			t.Errorf("left are %v", all)
		}
	})
}
