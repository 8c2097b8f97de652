package cli

import (
	"encoding/json"
	"net/url"

	"github.com/spf13/cobra"
	"github.com/tidwall/gjson"

	"github.com/caddysip/caddysip/internal/snomkeys/delivery"
)

func phonesCommand() *cobra.Command {
	cmd := jsonFlag(adminFlags(&cobra.Command{
		Use:   "phones",
		Short: "Lists the phones that are registered, and which of their keys they show",
		Long: `
Lists the phones that are registered, and which of their keys they show. A
phone's state is current, refused, overwritten, pending, sending, retrying,
unreachable, unsupported or other; docs/keys.md explains them. KEYS is how many
keys it shows, of how many it should.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			uri := url.URL{Path: "/sip/phones", RawQuery: parameters(cmd, "state", "aor").Encode()}
			all, err := list[json.RawMessage](cmd, uri.String())
			if err != nil {
				return err
			}
			if done, err := printJSON(cmd, all); done {
				return err
			}
			w := newTable(cmd, "USER", "MODEL", "FIRMWARE", "SOURCE", "TRANSPORT", "SINCE", "STATE",
				"KEYS", "REFUSED", "ERROR")
			for _, text := range all {
				p := gjson.ParseBytes(text)
				model := p.Get("model")
				if model.String() == "" {
					model = p.Get("user_agent")
				}
				w.row(
					p.Get("aor"),
					model,
					p.Get("firmware"),
					p.Get("source"),
					p.Get("transport"),
					at(p.Get("since")),
					p.Get("state"),
					plain(p.Get("shown").String()+"/"+p.Get("wanted").String()),
					p.Get("refused"),
					p.Get("last_error"),
				)
			}
			return w.Flush()
		},
	}))
	cmd.Flags().String("state", "",
		"Only phones in this state; registered: all that can be reached")
	cmd.Flags().String("aor", "", "Only this user's: a name, or name@domain")
	complete(cmd, "state", append(delivery.States(), "registered")...)
	_ = cmd.RegisterFlagCompletionFunc("aor", completeUser)
	return cmd
}
