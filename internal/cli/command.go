package cli

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "sip",
		Usage: "<command>",
		Short: "Operates a running SIP server, and prepares its configuration",
		Long: `
Operates a running SIP server through Caddy's admin API, and prepares its
configuration.

The API is looked for at its default address, or at the one given with
--address, or at the one that the configuration given with --config names.

The exit code is 0 when all was done, and 1 when it was not, or not all of
it: the error says why.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.AddCommand(registrationsCommand(), phonesCommand(), keysCommand())
			cmd.AddCommand(eventsCommand(), backupCommand())
			cmd.AddCommand(bansCommand(), banCommand(), unbanCommand(), hashPasswordCommand())
			explainOneLine(cmd)
		},
	})
}
