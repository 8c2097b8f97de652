package admin

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// readQuery reads the parameters, and refuses those that are not named and those given twice.
func readQuery(r *http.Request, names ...string) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badRequest("reading the query: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		switch {
		case len(names) == 0:
			return nil, badRequest("unknown parameter %q: there are none", name)
		case !slices.Contains(names, name):
			return nil, badRequest("unknown parameter %q: there are %s", name,
				strings.Join(names, ", "))
		case len(query[name]) > 1:
			return nil, badRequest("the parameter %q is given twice", name)
		}
	}
	return query, nil
}

// How many elements a page of a list has unless the request says so, and at most.
const (
	defaultPage = 1000
	maxPage     = 10_000
)

// page is the part of a list that a request asks for.
type page struct {
	limit int
	after string // the last element of the page before; empty: from the start
	query url.Values
}

// readPage reads ?limit= and ?after=, and refuses parameters that are neither these nor named.
func readPage(r *http.Request, others ...string) (page, error) {
	query, err := readQuery(r, append(others, "limit", "after")...)
	if err != nil {
		return page{}, err
	}
	p := page{limit: defaultPage, after: query.Get("after"), query: query}
	if text := query.Get("limit"); query.Has("limit") {
		if p.limit, err = strconv.Atoi(text); err != nil || p.limit < 1 || p.limit > maxPage {
			return page{}, badRequest("limit must be a number from 1 to %d, not %q", maxPage, text)
		}
	}
	return p, nil
}

// next links to what follows the last element of this page (RFC 8288).
func (p *page) next(w http.ResponseWriter, r *http.Request, last string) {
	p.query.Set("after", last)
	w.Header().Set("Link", "<"+r.URL.Path+"?"+p.query.Encode()+`>; rel="next"`)
}

// maxWait is the longest ?wait=.
const maxWait = time.Minute

// parseWait reads how long to wait for phones; empty: not at all.
func parseWait(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := caddy.ParseDuration(text)
	if err != nil || d <= 0 || d > maxWait {
		return 0, badRequest("wait: %q is no time such as 500ms or 2s, of a minute at most", text)
	}
	return d, nil
}

// allowWait lifts the server's limit for reading a request, for a handler that takes longer to
// answer than the client had to ask.
func allowWait(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // no deadlines: no limit either
}
