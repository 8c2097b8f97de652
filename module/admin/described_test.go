package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/caddysip/caddysip/internal/budget"
	"github.com/caddysip/caddysip/internal/events"
)

// TestOpenAPI checks that the description has every resource and method that is served, and no others.
func TestOpenAPI(t *testing.T) {
	var doc struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(openAPI, &doc); err != nil {
		t.Fatal(err)
	}
	served := 0
	for pattern, methods := range resources() {
		if len(methods) == 0 {
			continue
		}
		served++
		path := doc.Paths[strings.ReplaceAll(pattern, "...}", "}")]
		for method := range methods {
			if path[strings.ToLower(method)] == nil {
				t.Errorf("%s %s is not described", method, pattern)
			}
			delete(path, strings.ToLower(method))
		}
		delete(path, "parameters")
		if len(path) > 0 {
			t.Errorf("%s is said to have %v", pattern, path)
		}
	}
	if served != len(doc.Paths) {
		t.Errorf("%d paths are described, %d are served", len(doc.Paths), served)
	}
}

// TestUnexpectedError answers with an error that has no status.
func TestUnexpectedError(t *testing.T) {
	w := httptest.NewRecorder()
	writeError(w, errors.New("the disk <is> full"))
	want := `{"error":"the disk \u003cis\u003e full"}` + "\n"
	if w.Code != 500 || w.Body.String() != want {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestHeartbeat has something come by a stream on which nothing happens.
func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sub := events.New(new(budget.Budget)).Subscribe(0)
		defer sub.Close()
		w := httptest.NewRecorder()
		s := &stream{w: w, control: http.NewResponseController(w)}
		if !s.next(t.Context(), sub) || w.Body.String() != ":\n\n" || !w.Flushed {
			t.Errorf("%q, flushed: %v", w.Body, w.Flushed)
		}
	})
}
