package admin

import (
	"encoding/json"
	"strings"
	"testing"
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
