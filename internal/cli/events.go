package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/tidwall/gjson"
)

func eventsCommand() *cobra.Command {
	return jsonFlag(adminFlags(&cobra.Command{
		Use:   "events",
		Short: "Follows what happens: registrations, keys, calls",
		Long: `
Follows what happens, until it is interrupted. When the connection to the
server breaks, as it does when the server gets another configuration, it is
made again, and what has happened meanwhile is told as well.

With --json each event is one line with a JSON object.`,
		Args: cobra.NoArgs,
		RunE: followEvents,
	}))
}

// reconnect is the delay before reconnecting.
const reconnect = time.Second

func followEvents(cmd *cobra.Command, _ []string) error {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	asJSON, _ := cmd.Flags().GetBool("json")
	last := ""
	for connected := false; ; {
		header := make(http.Header)
		if last != "" {
			header.Set("Last-Event-ID", last)
		}
		res, err := connect(cmd, http.MethodGet, "/sip/events", header, nil)
		var refused *apiError
		if err != nil &&
			(!connected || errors.As(err, &refused) && refused.Status != http.StatusServiceUnavailable) {
			return err
		}
		if err == nil {
			connected = true
			stop := context.AfterFunc(ctx, func() { res.Body.Close() })
			err = readEvents(
				res.Body,
				&last,
				func(data string) error { return printEvent(cmd.OutOrStdout(), data, asJSON) },
			)
			stop()
			res.Body.Close()
			var output *outputError
			if errors.As(err, &output) {
				return output.error
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(reconnect):
		}
	}
}

// outputError is an error of the standard output.
type outputError struct{ error }

// maxEvent is the longest line of the stream: an event with all keys of a user.
const maxEvent = 8 << 20

// readEvents reads Server-Sent Events until they end. last is set to the ID of the last one that
// was printed.
func readEvents(r io.Reader, last *string, print func(data string) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxEvent)
	var id, data string
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			id = value
		case "data":
			data = value
		case "":
			if data != "" {
				if err := print(data); err != nil {
					return &outputError{err}
				}
			}
			if id != "" {
				*last = id
			}
			id, data = "", ""
		}
	}
	return lines.Err()
}

// printEvent prints an event in one line.
func printEvent(w io.Writer, data string, asJSON bool) error {
	if asJSON {
		_, err := fmt.Fprintln(w, data)
		return err
	}
	var b strings.Builder
	event := gjson.Parse(data)
	fmt.Fprintf(
		&b,
		"%s  %-16s  %s",
		at(event.Get("time")),
		printable(event.Get("type").String()),
		printable(event.Get("aor").String()),
	)
	event.ForEach(func(name, value gjson.Result) bool {
		switch name.String() {
		case "type", "time", "aor":
		case "keys":
			for _, k := range value.Array() {
				fmt.Fprintf(
					&b,
					"  key %s: %s",
					k.Get("key"),
					printable(
						strings.TrimSpace(k.Get("light").String()+" "+k.Get("label").String()),
					),
				)
			}
		default:
			fmt.Fprintf(&b, "  %s=%s", printable(name.String()), printable(value.String()))
		}
		return true
	})
	_, err := fmt.Fprintln(w, b.String())
	return err
}
