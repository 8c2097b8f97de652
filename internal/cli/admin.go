package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"github.com/tidwall/gjson"
)

// adminFlags adds the flags for the address of the admin API, named as in Caddy's own commands.
func adminFlags(cmd *cobra.Command) *cobra.Command {
	flags := cmd.Flags()
	flags.String(
		"address",
		"",
		"Address of the admin API, also unix//path (if --config is not used)",
	)
	flags.StringP(
		"config",
		"c",
		"",
		"Configuration file that names the address (if --address is not used)",
	)
	flags.StringP("adapter", "a", "", "Name of the configuration's adapter (if --config is used)")
	return cmd
}

// connect sends a request to the admin API. The caller closes the response body. An error response
// is returned as an *apiError.
func connect(
	cmd *cobra.Command,
	method, uri string,
	header http.Header,
	body io.Reader,
) (*http.Response, error) {
	flags := caddycmd.Flags{FlagSet: cmd.Flags()}
	address, err := caddycmd.DetermineAdminAPIAddress(
		flags.String("address"),
		nil,
		flags.String("config"),
		flags.String("adapter"),
	)
	if err != nil {
		return nil, fmt.Errorf("finding the admin API: %w", err)
	}
	res, err := caddycmd.AdminAPIRequest(address, method, uri, header, body)
	if err != nil {
		if refused := parseAPIError(err); refused != nil {
			return nil, refused
		}
		return nil, fmt.Errorf("asking the admin API at %s: %w", address, err)
	}
	return res, nil
}

// apiError is an error response of the API.
type apiError struct {
	Status int
	Body   []byte
}

func (e *apiError) Error() string { return gjson.GetBytes(e.Body, "error").String() }

// parseAPIError extracts the error response of the API from the error that Caddy makes of it; nil
// if there was no response.
func parseAPIError(err error) *apiError {
	_, text, _ := strings.Cut(err.Error(), "HTTP ")
	status, body, _ := strings.Cut(text, ": ")
	n, _ := strconv.Atoi(status)
	if n == 0 || !gjson.Valid(body) || !gjson.Get(body, "error").Exists() {
		return nil
	}
	return &apiError{n, []byte(body)}
}

// ask sends a request, with body as JSON unless it is nil, and returns the response and its header.
func ask(cmd *cobra.Command, method, uri string, body any) ([]byte, http.Header, error) {
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, nil, err
		}
		reader = bytes.NewReader(text)
	}
	res, err := connect(cmd, method, uri, nil, reader)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the answer of %s: %w", uri, err)
	}
	return answer, res.Header, nil
}

// request is ask with the response decoded into result, unless that is nil.
func request(cmd *cobra.Command, method, uri string, body, result any) (http.Header, error) {
	answer, header, err := ask(cmd, method, uri, body)
	if err != nil || result == nil {
		return header, err
	}
	if err := json.Unmarshal(answer, result); err != nil {
		return nil, fmt.Errorf("reading the answer of %s: %w", uri, err)
	}
	return header, nil
}

// list fetches all pages of a list.
func list[T any](cmd *cobra.Command, uri string) ([]T, error) {
	all := []T{}
	for uri != "" {
		var page []T
		header, err := request(cmd, http.MethodGet, uri, nil, &page)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		uri = next(header)
	}
	return all, nil
}

// next returns the address of the next page from the Link header (RFC 8288); empty if there is
// none.
func next(header http.Header) string {
	target, found := strings.CutSuffix(header.Get("Link"), `>; rel="next"`)
	if !found {
		return ""
	}
	u, err := url.Parse(strings.TrimPrefix(target, "<"))
	if err != nil {
		return ""
	}
	return u.RequestURI()
}

// jsonFlag adds --json to a command.
func jsonFlag(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().Bool("json", false, "Print JSON")
	return cmd
}

// printJSON prints v as JSON if the command was asked for JSON, and reports whether it was.
func printJSON(cmd *cobra.Command, v any) (bool, error) {
	if asJSON, _ := cmd.Flags().GetBool("json"); !asJSON {
		return false, nil
	}
	enc := json.NewEncoder(cmd.OutOrStdout())
	enc.SetIndent("", "  ")
	return true, enc.Encode(v)
}
