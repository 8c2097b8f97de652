package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/tidwall/gjson"
	"golang.org/x/term"

	"github.com/caddysip/caddysip/internal/utf8text"
)

const (
	importBatch = 500 // rows in one request
	maxShown    = 100 // wrong rows that are reported
)

// keyRow is a row of a file with keys.
type keyRow struct {
	line    int    // in a CSV file; the element from 1 in a JSON file
	user    string // if known
	element json.RawMessage
	err     string // what is wrong with it
}

// failure is a row that was not set.
type failure struct {
	Row   int    `json:"row"`
	User  string `json:"user"`
	Error string `json:"error"`
}

// warning is about a row that was set.
type warning struct {
	Row     int    `json:"row"`
	User    string `json:"user"`
	Warning string `json:"warning"`
}

// setMany sets the keys of a file, in batches of importBatch rows, without the rows that are wrong.
func setMany(cmd *cobra.Command, name string) error {
	rows, err := readRows(cmd, name)
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	defaults := make(map[string]string)
	for name, values := range parameters(cmd, "layer", "ttl") {
		defaults[name] = values[0]
	}
	failures, warnings := []failure{}, []warning{}
	done := 0
	progress := newProgress(cmd, len(rows))
	for batch := range slices.Chunk(rows, importBatch) {
		var failed []failure
		var warned []warning
		if failed, warned, err = sendRows(cmd, batch, defaults); err != nil {
			break
		}
		failures, warnings = append(failures, failed...), append(warnings, warned...)
		done += len(batch)
		progress.show(done)
	}
	progress.end()
	slices.SortFunc(failures, func(a, b failure) int { return a.Row - b.Row })
	set := done - len(failures)
	report := map[string]any{"set": set, "failed": failures, "warnings": warnings}
	if printed, err := printJSON(cmd, report); err != nil {
		return err
	} else if !printed {
		printWarnings(cmd, warnings)
		printFailures(cmd, failures)
		fmt.Fprintf(cmd.OutOrStdout(), "%s of %d set\n", plural(set, "row"), len(rows))
	}
	switch {
	case err != nil:
		return fmt.Errorf(
			"%s from row %d on not set: %w",
			plural(len(rows)-done, "row"),
			rows[done].line,
			err,
		)
	case len(failures) > 0:
		return fmt.Errorf("%s not set", plural(len(failures), "row"))
	}
	return nil
}

func printWarnings(cmd *cobra.Command, warnings []warning) {
	for i, w := range warnings {
		if i == maxShown {
			fmt.Fprintf(cmd.ErrOrStderr(), "and %d more warnings\n", len(warnings)-i)
			break
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "row %d, %s: warning: %s\n",
			w.Row, printable(w.User), printable(w.Warning))
	}
}

func printFailures(cmd *cobra.Command, failures []failure) {
	for i, f := range failures {
		if i == maxShown {
			fmt.Fprintf(cmd.ErrOrStderr(), "and %d more\n", len(failures)-i)
			break
		}
		row := strconv.Itoa(f.Row)
		if f.User != "" {
			row += ", " + printable(f.User)
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "row %s: %s\n", row, printable(f.Error))
	}
}

// sendRows sets the keys of some rows and returns the rows that the API has refused. If it returns
// an error, none was set.
func sendRows(
	cmd *cobra.Command,
	rows []keyRow,
	defaults map[string]string,
) (failed []failure, warned []warning, err error) {
	fail := func(i int, reason string) {
		failed = append(failed, failure{rows[i].line, rows[i].user, reason})
		rows[i].err = reason
	}
	for i := range rows {
		if rows[i].err != "" {
			fail(i, rows[i].err)
			continue
		}
		for name, value := range defaults {
			rows[i].setDefault(name, value)
		}
	}
	for {
		body, sent := []json.RawMessage{}, []int{}
		for i := range rows {
			if rows[i].err == "" {
				body, sent = append(body, rows[i].element), append(sent, i)
			}
		}
		if len(body) == 0 {
			return failed, nil, nil
		}
		answer, _, err := ask(cmd, http.MethodPost, "/sip/keys", body)
		var refused *apiError
		if err == nil || !errors.As(err, &refused) {
			for _, w := range gjson.GetBytes(answer, "warnings").Array() {
				if i := int(w.Get("index").Int()); i >= 0 && i < len(sent) {
					row := &rows[sent[i]]
					warned = append(warned, warning{row.line, row.user, w.Get("warning").String()})
				}
			}
			return failed, warned, err
		}
		wrong := gjson.GetBytes(refused.Body, "errors").Array()
		if len(wrong) == 0 {
			return failed, nil, err
		}
		for _, e := range wrong {
			if i := int(e.Get("index").Int()); i >= 0 && i < len(sent) {
				fail(sent[i], e.Get("error").String())
			}
		}
	}
}

// setDefault sets a field unless it is there.
func (r *keyRow) setDefault(name, value string) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(r.element, &fields) != nil || fields == nil || fields[name] != nil {
		return
	}
	fields[name], _ = json.Marshal(value) // has no errors
	r.element, _ = json.Marshal(fields)
}

// readRows reads a file, or the standard input.
func readRows(cmd *cobra.Command, name string) (rows []keyRow, err error) {
	var text []byte
	if name == "-" {
		text, err = io.ReadAll(cmd.InOrStdin())
	} else {
		text, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, err
	}
	encoding, _ := cmd.Flags().GetString("encoding")
	if text, err = decodeText(text, encoding); err != nil {
		return nil, err
	}
	if first := bytes.TrimSpace(text); len(first) > 0 && first[0] == '[' {
		rows, err = jsonRows(text)
	} else {
		rows, err = csvRows(text)
	}
	refuseTwice(rows)
	return rows, err
}

// refuseTwice refuses rows for a key that an earlier row is for. The API refuses that too, however
// the user is written, but it sees only one batch of the file.
func refuseTwice(rows []keyRow) {
	type key struct{ user, key, layer string }
	seen := make(map[key]int)
	for i := range rows {
		r := &rows[i]
		element := gjson.ParseBytes(r.element)
		k := key{r.user, element.Get("key").Raw, element.Get("layer").String()}
		if r.err != "" || k.user == "" || k.key == "" {
			continue
		}
		if first, ok := seen[k]; ok {
			r.err = fmt.Sprintf("key: %s is there twice: row %d has it too", k.key, first)
			continue
		}
		seen[k] = r.line
	}
}

func jsonRows(text []byte) (rows []keyRow, err error) {
	if err := utf8text.Check(text); err != nil {
		return nil, err
	}
	var elements []json.RawMessage
	if err := json.Unmarshal(text, &elements); err != nil {
		return nil, err
	}
	for i, e := range elements {
		r := keyRow{line: i + 1, element: e, user: gjson.GetBytes(e, "aor").String()}
		var fields map[string]json.RawMessage
		if json.Unmarshal(e, &fields) == nil && fields["user"] != nil && fields["aor"] == nil {
			fields["aor"] = fields["user"]
			delete(fields, "user")
			r.element, _ = json.Marshal(fields)
			r.user = gjson.GetBytes(r.element, "aor").String()
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// progress shows the progress on a terminal.
type progress struct {
	w     io.Writer // nil: not a terminal
	total int
}

func newProgress(cmd *cobra.Command, total int) progress {
	if file, ok := cmd.ErrOrStderr().(*os.File); ok && total > importBatch &&
		term.IsTerminal(int(file.Fd())) {
		return progress{file, total}
	}
	return progress{}
}

func (p progress) show(done int) {
	if p.w != nil {
		fmt.Fprintf(p.w, "\r%d of %d rows", done, p.total)
	}
}

func (p progress) end() {
	if p.w != nil {
		fmt.Fprintln(p.w)
	}
}
