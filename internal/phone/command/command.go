package command

import (
	"cmp"
	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/caddysip/caddysip/internal/domains"
	"github.com/caddysip/caddysip/internal/phone"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "snom",
		Usage: "--server <host:port> --user <name> [--password <password>] [--domain <domain>] [--model <model>] [--transport udp|tcp|tls|ws|wss] [--dial <number>] [--press <key>] [--exit]",
		Short: "Simulates a Snom phone",
		Long: `
A simulated Snom phone that registers, shows its keys and lamps in the
terminal, dials, presses keys and acknowledges pushes as the real one does.

While it runs, it takes commands from standard input: "help" lists them. With
--exit it takes none: it registers, dials and presses what it was told to,
prints its keys, unregisters and ends; for the key that it is to press it waits
until the server has sent it, at most 5 seconds. It then fails if it could not register,
or if a call got no answer at all; one that was refused is no failure.

The password is better given in the environment variable SIP_PASSWORD than
with --password, which others on this machine can see. Colours are left out
when the output is no terminal or NO_COLOR is set.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Args = cobra.NoArgs
			flags := cmd.Flags()
			flags.StringP("server", "s", "", "Host and port of the SIP server")
			flags.StringP("user", "u", "", "The phone's user name, or user@domain")
			flags.String(
				"password",
				"",
				"The user's password (default: SIP_PASSWORD of the environment)",
			)
			flags.String("domain", "", "The user's domain (default: the server's host)")
			flags.String("model", "370", "The model, such as 370 or D785")
			flags.String("transport", "udp", "udp, tcp, tls, ws or wss")
			flags.String("dial", "", "Number to dial once registered")
			flags.String("press", "", "Key to press after that")
			flags.Bool("exit", false, "End when all of that is done")
			cmd.RunE = caddycmd.WrapCommandFuncForCobra(start)
		},
	})
}

func start(flags caddycmd.Flags) (int, error) {
	user, domain := userOf(flags.String("user"), flags.String("domain"))
	o := options{
		phone: phone.Config{
			Server:    flags.String("server"),
			User:      user,
			Password:  cmp.Or(flags.String("password"), os.Getenv("SIP_PASSWORD")),
			Domain:    domain,
			Model:     flags.String("model"),
			Transport: flags.String("transport"),
		},
		dial:   flags.String("dial"),
		press:  flags.String("press"),
		exit:   flags.Bool("exit"),
		push:   firstPush,
		color:  term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("NO_COLOR") == "",
		prompt: term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stdout.Fd())),
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdin, os.Stdout); err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	return caddy.ExitCodeSuccess, nil
}

// userOf returns the parts of an address-of-record that was given as the user. The domain may be
// given by itself.
func userOf(text, domain string) (user, of string) {
	text = domains.CutScheme(text)
	if at := strings.LastIndexByte(text, '@'); at >= 0 && domain == "" {
		return text[:at], text[at+1:]
	}
	return text, domain
}
