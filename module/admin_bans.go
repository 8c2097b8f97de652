package module

import (
	"net/http"
	"net/netip"
	"time"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/internal/ban"
)

const (
	defaultBan = time.Hour
	maxBan     = 365 * 24 * time.Hour
	maxReason  = 200 // bytes

	// Whoever bans more at a time has most likely made a mistake.
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

// sourceText is an address, or a prefix that is none.
func sourceText(p netip.Prefix) string {
	if p.IsSingleIP() && p.Addr().Is4() {
		return p.Addr().String()
	}
	return p.String()
}

// parseSource reads an address or a prefix. An IPv6 address stands for its /64.
func parseSource(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return ban.Source(addr), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, adminError(http.StatusBadRequest, "%q is no IP address and no prefix such as 192.0.2.0/24", text)
	}
	return ban.Canonical(p), nil
}

// GET /sip/bans[?limit=&after=]
func listBans(app *App, w http.ResponseWriter, r *http.Request) error {
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
	for _, e := range app.engine.Bans.All() {
		if after.IsValid() && ban.Compare(e.Source, after) <= 0 {
			continue
		}
		if len(list) == p.limit {
			p.next(w, r, list[len(list)-1].Source)
			break
		}
		list = append(list, describeBan(e))
	}
	return writeAdmin(w, http.StatusOK, list)
}

// GET /sip/bans/{source}
func getBan(app *App, w http.ResponseWriter, r *http.Request) error {
	source, err := parseSource(r.PathValue("source"))
	if err != nil {
		return err
	}
	e, ok := app.engine.Bans.Get(source)
	if !ok {
		return notBanned(source)
	}
	return writeAdmin(w, http.StatusOK, describeBan(e))
}

func notBanned(source netip.Prefix) error {
	return adminError(http.StatusNotFound, "%s is not banned", sourceText(source))
}

// PUT /sip/bans/{source} {"for": "1h", "reason": ""}
func putBan(app *App, w http.ResponseWriter, r *http.Request) error {
	source, err := parseSource(r.PathValue("source"))
	if err != nil {
		return err
	}
	least := minBits6
	if source.Addr().Is4() {
		least = minBits4
	}
	if source.Bits() < least {
		return adminError(http.StatusBadRequest, "%s is too much at a time: a prefix has /%d or more", source, least)
	}
	var body struct {
		For    string `json:"for"`
		Reason string `json:"reason"`
	}
	if err := readAdmin(w, r, &body); err != nil {
		return err
	}
	d := defaultBan
	if body.For != "" {
		if d, err = caddy.ParseDuration(body.For); err != nil || d <= 0 || d > maxBan {
			return adminError(http.StatusBadRequest, "for: %q is no time such as 30s, 5m or 2d, of a year at most", body.For)
		}
	}
	if len(body.Reason) > maxReason || !utf8.ValidString(body.Reason) {
		return adminError(http.StatusBadRequest, "reason: it must be UTF-8 of %d bytes or less", maxReason)
	}
	status := http.StatusOK
	if app.engine.Bans.Set(source, d, body.Reason) {
		status = http.StatusCreated
	}
	e, _ := app.engine.Bans.Get(source)
	return writeAdmin(w, status, describeBan(e))
}

// DELETE /sip/bans/{source}
func deleteBan(app *App, w http.ResponseWriter, r *http.Request) error {
	source, err := parseSource(r.PathValue("source"))
	if err != nil {
		return err
	}
	if !app.engine.Bans.Remove(source) {
		return notBanned(source)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
