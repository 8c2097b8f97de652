package cli

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"
)

// banned is a ban in the API's JSON.
type banned struct {
	Source string    `json:"source"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`
}

func bansCommand() *cobra.Command {
	return jsonFlag(adminFlags(&cobra.Command{
		Use:       "bans [list]",
		Short:     "Lists the banned sources",
		ValidArgs: []string{"list"},
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := list[banned](cmd, "/sip/bans")
			if err != nil {
				return err
			}
			if done, err := printJSON(cmd, all); done {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, b := range all {
				fmt.Fprintf(w, "%s\tuntil %s\t%s\n", b.Source, local(b.Until), printable(b.Reason))
			}
			return w.Flush()
		},
	}))
}

func banCommand() *cobra.Command {
	cmd := jsonFlag(adminFlags(&cobra.Command{
		Use:   "ban <address>|<prefix>",
		Short: "Bans a source: all it sends is dropped, its connections are closed",
		Long: `
Bans an IPv4 address, the /64 of an IPv6 address, or a prefix such as
192.0.2.0/24: all it sends is dropped unread, and its connections are closed.
A ban ends with the server, if it doesn't end before.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var body struct {
				For    string `json:"for,omitempty"`
				Reason string `json:"reason,omitempty"`
			}
			body.For, _ = cmd.Flags().GetString("for")
			body.Reason, _ = cmd.Flags().GetString("reason")
			var b banned
			if _, err := request(cmd, http.MethodPut, banURI(args[0]), body, &b); err != nil {
				return err
			}
			if done, err := printJSON(cmd, b); done {
				return err
			}
			_, err := fmt.Fprintf(
				cmd.OutOrStdout(),
				"%s is banned until %s\n",
				b.Source,
				local(b.Until),
			)
			return err
		},
	}))
	cmd.Flags().String("for", "1h", "How long, such as 30s, 5m or 2d")
	cmd.Flags().String("reason", "", "Why, for whoever lists the bans")
	return cmd
}

func unbanCommand() *cobra.Command {
	return adminFlags(&cobra.Command{
		Use:   "unban <address>|<prefix>",
		Short: "Ends the ban of a source",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := request(cmd, http.MethodDelete, banURI(args[0]), nil, nil); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s is not banned any more\n", args[0])
			return err
		},
	})
}

func banURI(source string) string { return "/sip/bans/" + url.PathEscape(source) }

func local(t time.Time) string { return t.Local().Format(time.DateTime) }

// printable quotes text with characters that a terminal might interpret.
func printable(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}
