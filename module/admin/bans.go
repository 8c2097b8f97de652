package admin

import (
	"net/http"
	"net/netip"
	"time"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/internal/ban"
	"github.com/caddysip/caddysip/internal/ipset"
)

const (
	defaultBan = time.Hour
	maxBan     = 365 * 24 * time.Hour
	maxReason  = 200 // bytes

	// The shortest prefixes: whoever bans more at a time has most likely made a mistake.
	minBits4, minBits6 = 8, 16
)

// banned is a ban in the API.
type banned struct {
	Source string    `json:"source"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`
}

func describeBan(e ban.Entry) banned {
	return banned{sourceText(e.Source), e.Reason, e.Since.UTC(), e.Until.UTC()}
}

// sourceText returns an IPv4 address where the prefix is a single one, else the prefix.
func sourceText(p netip.Prefix) string {
	if p.IsSingleIP() && p.Addr().Is4() {
		return p.Addr().String()
	}
	return p.String()
}

// parseSource reads an address or a prefix. An IPv6 address stands for its /64.
func parseSource(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return ipset.Source(addr), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, badRequest("%q is no IP address and no prefix such as 192.0.2.0/24", text)
	}
	return ban.Canonical(p), nil
}

// GET /sip/bans[?limit=&after=]
func listBans(a *api, w http.ResponseWriter, r *http.Request) error {
	p, err := readPage(r)
	if err != nil {
		return err
	}
	var after netip.Prefix
	if p.after != "" {
		if after, err = parseSource(p.after); err != nil {
			return err
		}
	}
	list := []banned{}
	for _, e := range a.bans.All() {
		if after.IsValid() && ban.Compare(e.Source, after) <= 0 {
			continue
		}
		if len(list) == p.limit {
			p.next(w, r, list[len(list)-1].Source)
			break
		}
		list = append(list, describeBan(e))
	}
	return writeJSON(w, http.StatusOK, list)
}

// GET /sip/bans/{source}
func getBan(a *api, w http.ResponseWriter, r *http.Request) error {
	source, err := parseSource(r.PathValue("source"))
	if err != nil {
		return err
	}
	e, ok := a.bans.Get(source)
	if !ok {
		return notBanned(source)
	}
	return writeJSON(w, http.StatusOK, describeBan(e))
}

func notBanned(source netip.Prefix) error {
	return errorf(http.StatusNotFound, "%s is not banned", sourceText(source))
}

// PUT /sip/bans/{source} {"for": "1h", "reason": ""}
func putBan(a *api, w http.ResponseWriter, r *http.Request) error {
	source, err := parseSource(r.PathValue("source"))
	if err != nil {
		return err
	}
	least := minBits6
	if source.Addr().Is4() {
		least = minBits4
	}
	if source.Bits() < least {
		return badRequest("%s is too much at a time: a prefix has /%d or more", source, least)
	}
	var body struct {
		For    string `json:"for"`
		Reason string `json:"reason"`
	}
	if err := readJSON(w, r, &body); err != nil {
		return err
	}
	d := defaultBan
	if body.For != "" {
		if d, err = caddy.ParseDuration(body.For); err != nil || d <= 0 || d > maxBan {
			return badRequest("for: %q is no time such as 30s, 5m or 2d, of a year at most",
				body.For)
		}
	}
	if len(body.Reason) > maxReason || !utf8.ValidString(body.Reason) {
		return badRequest("reason: it must be UTF-8 of %d bytes or less", maxReason)
	}
	status := http.StatusOK
	if a.bans.Set(source, d, body.Reason) {
		status = http.StatusCreated
	}
	e, _ := a.bans.Get(source)
	return writeJSON(w, status, describeBan(e))
}

// DELETE /sip/bans/{source}
func deleteBan(a *api, w http.ResponseWriter, r *http.Request) error {
	source, err := parseSource(r.PathValue("source"))
	if err != nil {
		return err
	}
	if !a.bans.Remove(source) {
		return notBanned(source)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
