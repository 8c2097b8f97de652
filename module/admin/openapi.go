package admin

import (
	_ "embed"
	"net/http"
)

// openAPI describes the API (https://spec.openapis.org/oas/v3.1.0).
//
//go:embed openapi.json
var openAPI []byte

// GET /sip/openapi.json
func getOpenAPI(_ *api, w http.ResponseWriter, r *http.Request) error {
	if _, err := readQuery(r); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, err := w.Write(openAPI)
	return err
}
