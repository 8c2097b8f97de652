package cli

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/tidwall/gjson"
)

func registrationsCommand() *cobra.Command {
	cmd := jsonFlag(adminFlags(&cobra.Command{
		Use:   "registrations",
		Short: "Lists who is registered, and with which phones",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			uri := "/sip/registrations"
			if aor, _ := cmd.Flags().GetString("aor"); aor != "" {
				uri += "?aor=" + url.QueryEscape(aor)
			}
			all, err := list[json.RawMessage](cmd, uri)
			if err != nil {
				return err
			}
			if done, err := printJSON(cmd, all); done {
				return err
			}
			w := newTable(cmd, "USER", "CONTACT", "SOURCE", "TRANSPORT", "PHONE", "EXPIRES")
			for _, r := range all {
				for _, b := range gjson.GetBytes(r, "bindings").Array() {
					w.row(
						gjson.GetBytes(r, "aor"),
						b.Get("contact"),
						b.Get("source"),
						b.Get("transport"),
						b.Get("user_agent"),
						at(b.Get("expires")),
					)
				}
			}
			return w.Flush()
		},
	}))
	cmd.Flags().String("aor", "", "Only this user: a name, or name@domain")
	_ = cmd.RegisterFlagCompletionFunc("aor", completeUser)
	return cmd
}

// table prints aligned columns.
type table struct{ *tabwriter.Writer }

func newTable(cmd *cobra.Command, head ...string) table {
	t := table{tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)}
	fmt.Fprintln(t, strings.Join(head, "\t"))
	return t
}

// row writes a row. Text that a terminal might interpret is quoted.
func (t table) row(cells ...fmt.Stringer) {
	texts := make([]string, len(cells))
	for i, c := range cells {
		texts[i] = printable(c.String())
	}
	fmt.Fprintln(t, strings.TrimRight(strings.Join(texts, "\t"), "\t"))
}

// at formats a time of the API in the local time zone.
func at(r gjson.Result) fmt.Stringer {
	t, err := time.Parse(time.RFC3339, r.String())
	if err != nil {
		return r
	}
	return plain(local(t))
}

// plain is a text in a table.
type plain string

func (p plain) String() string { return string(p) }

// completeUser completes the names of registered users.
func completeUser(
	cmd *cobra.Command,
	args []string,
	begun string,
) ([]string, cobra.ShellCompDirective) {
	var users []string
	if len(args) == 0 {
		answer, _, err := ask(cmd, "GET", "/sip/registrations?limit=1000", nil)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		for _, aor := range gjson.GetBytes(answer, "#.aor").Array() {
			if strings.HasPrefix(aor.String(), begun) {
				users = append(users, aor.String())
			}
		}
	}
	return users, cobra.ShellCompDirectiveNoFileComp
}
