package admin

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/caddysip/caddysip/internal/utf8text"
)

// The largest bodies in bytes: of a list of keys for many users, and of everything else.
const (
	maxList = 16 << 20
	maxBody = 1 << 20
)

// readJSON reads the body of a request as JSON: one value, with no field that v doesn't have.
// Without a body v stays as it is.
func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	return readJSONWithin(w, r, maxBody, v)
}

// readJSONWithin is readJSON for a body of at most limit bytes.
func readJSONWithin(w http.ResponseWriter, r *http.Request, limit int64, v any) error {
	body, err := readBody(w, r, limit)
	if err != nil || len(bytes.TrimSpace(body)) == 0 {
		return err
	}
	if err := utf8text.Check(body); err != nil { // encoding/json would replace what is none
		return badRequest("reading the body: %w", err)
	}
	return decode(body, v)
}

// readBody reads a body of at most limit bytes.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, errorf(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes",
			tooLarge.Limit)
	case err != nil:
		return nil, badRequest("reading the body: %w", err)
	}
	return body, nil
}

// decode reads one JSON value, with no field that v doesn't have.
func decode(body []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if err == nil {
		if _, err = dec.Token(); err == io.EOF {
			return nil
		}
		err = errors.New("something follows the value")
	}
	var other *json.UnmarshalTypeError
	if !errors.As(err, &other) {
		return badRequest("reading the body: %w", err)
	}
	name := other.Field[strings.LastIndexByte(other.Field, '.')+1:] // without embedded structs
	return badRequest("reading the body: %s must be something else than a JSON %s",
		cmp.Or(name, "it"), other.Value)
}
