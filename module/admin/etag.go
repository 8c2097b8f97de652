package admin

import (
	"net/http"
	"net/url"
	"strings"
)

// keysETag returns the ETag of a user's keys: as in Caddy's config API, the path and what
// identifies the content.
func keysETag(r *http.Request, revision string) string {
	return `"` + r.URL.EscapedPath() + " " + revision + `"`
}

// ifMatch returns the revision that the keys of a user must have for the request to be served,
// empty: any.
func (a *api) ifMatch(r *http.Request, aor string) (string, error) {
	header := r.Header.Values("If-Match")
	if len(header) == 0 {
		return "", nil
	}
	malformed := badRequest(`If-Match: %q is not as the ETag of the keys: "<path> <hash>", in quotes`,
		strings.Join(header, ", "))
	tag, quoted := strings.CutPrefix(header[0], `"`)
	tag, closed := strings.CutSuffix(tag, `"`)
	path, revision, found := strings.Cut(tag, " ")
	if len(header) > 1 || !quoted || !closed || !found ||
		revision == "" || strings.ContainsAny(revision, `" `) {
		return "", malformed
	}
	rest, found := strings.CutPrefix(path, "/sip/keys/")
	user, _, _ := strings.Cut(rest, "/")
	user, err := url.PathUnescape(user)
	if !found || err != nil {
		return "", malformed
	}
	if other, err := a.parseAOR(user); err != nil || other != aor {
		return "", errorf(http.StatusPreconditionFailed,
			"If-Match: it is the ETag of another user's keys")
	}
	return revision, nil
}
