package cli

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/tidwall/gjson"

	"github.com/caddysip/caddysip/internal/snomkeys/buttons"
	"github.com/caddysip/caddysip/internal/snomkeys/delivery"
)

func keysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys <command>",
		Short: "Shows and sets the function keys of users' phones",
		Long: `
Shows and sets the function keys of users' phones. A user is a name at the
server's first domain, or name@domain.`,
	}
	cmd.AddCommand(keysGetCommand(), keysSetCommand(), keysClearCommand(), keysPushCommand())
	return cmd
}

// keysURI returns the path of a user's keys, or of one key.
func keysURI(args []string, query url.Values) string {
	uri := "/sip/keys/" + url.PathEscape(args[0])
	if len(args) > 1 {
		uri += "/" + url.PathEscape(args[1])
	}
	if len(query) > 0 {
		uri += "?" + query.Encode()
	}
	return uri
}

// parameters returns the named flags that are set, as a query.
func parameters(cmd *cobra.Command, names ...string) url.Values {
	query := make(url.Values)
	for _, name := range names {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed {
			query.Set(name, f.Value.String())
		}
	}
	return query
}

func keysGetCommand() *cobra.Command {
	return jsonFlag(adminFlags(&cobra.Command{
		Use:               "get <user> [<key>]",
		Short:             "Shows a user's keys, and what his phones have answered",
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: completeUser,
		RunE: func(cmd *cobra.Command, args []string) error {
			answer, _, err := ask(cmd, http.MethodGet, keysURI(args, nil), nil)
			if err != nil {
				return err
			}
			return printKeys(cmd, answer)
		},
	}))
}

// printKeys prints a user's keys.
func printKeys(cmd *cobra.Command, answer []byte) error {
	if done, err := printJSON(cmd, gjson.ParseBytes(answer).Value()); done {
		return err
	}
	w := newTable(cmd, "KEY", "LIGHT", "COLOR", "LABEL", "NUMBER", "ACTION", "LAYER", "EXPIRES")
	for _, k := range gjson.GetBytes(answer, "keys").Array() {
		layer := k.Get("layer").String()
		if k.Get("locked").Bool() {
			layer += ", locked"
		}
		w.row(
			k.Get("key"),
			k.Get("light"),
			k.Get("color"),
			k.Get("label"),
			k.Get("number"),
			k.Get("action"),
			plain(layer),
			at(k.Get("expires")),
		)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	phones := gjson.GetBytes(answer, "phones").Array()
	if len(phones) == 0 {
		return nil
	}
	fmt.Fprintln(cmd.OutOrStdout())
	w = newTable(cmd, "PHONE", "MODEL", "STATE", "KEY", "ANSWER", "SINCE")
	for _, p := range phones {
		keys := p.Get("keys").Array()
		if len(keys) == 0 {
			w.row(p.Get("contact"), p.Get("model"), p.Get("state"))
		}
		for _, k := range keys {
			w.row(
				p.Get("contact"),
				p.Get("model"),
				p.Get("state"),
				k.Get("key"),
				plain(outcome(k)),
				at(k.Get("at")),
			)
		}
	}
	return w.Flush()
}

// outcome describes the phone's answer for a key.
func outcome(k gjson.Result) string {
	switch {
	case k.Get("acknowledged").Bool():
		return "acknowledged"
	case k.Get("error").Exists():
		return k.Get("error").String()
	}
	return "none yet"
}

// acknowledged returns an error if the command was to wait and a phone of the user has not
// acknowledged the keys, or there is none that can.
func acknowledged(cmd *cobra.Command, answer []byte) error {
	if !cmd.Flags().Changed("wait") {
		return nil
	}
	able := 0
	for _, p := range gjson.GetBytes(answer, "phones").Array() {
		switch p.Get("state").String() {
		case delivery.StateUnsupported, delivery.StateOther:
			continue // what has no such keys may be beside a phone that has
		}
		able++
		for _, k := range p.Get("keys").Array() {
			if !k.Get("acknowledged").Bool() {
				return fmt.Errorf(
					"%s has not acknowledged key %s: %s",
					printable(p.Get("contact").String()),
					k.Get("key"),
					printable(outcome(k)),
				)
			}
		}
	}
	if able == 0 {
		return errors.New("nobody has acknowledged it: no phone of the user's that has such keys is registered")
	}
	return nil
}

// printChanged prints the result of a change.
func printChanged(cmd *cobra.Command, answer []byte) error {
	for _, w := range gjson.GetBytes(answer, "warnings").Array() {
		fmt.Fprintln(cmd.ErrOrStderr(), "warning:", printable(w.String()))
	}
	if err := printKeys(cmd, answer); err != nil {
		return err
	}
	return acknowledged(cmd, answer)
}

func waitFlag(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().String(
		"wait",
		"",
		"Wait so long for the phones to acknowledge it, such as 2s; the exit code is 1 if they don't",
	)
	return cmd
}

func layerFlag(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().String("layer", "admin", "Which layer says so: admin, user or event")
	complete(cmd, "layer", "admin", "user", "event")
	return cmd
}

// complete makes the shell complete the values of a flag.
func complete(cmd *cobra.Command, flag string, values ...string) {
	_ = cmd.RegisterFlagCompletionFunc(
		flag,
		cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp),
	)
}

func keysSetCommand() *cobra.Command {
	cmd := waitFlag(layerFlag(jsonFlag(adminFlags(&cobra.Command{
		Use:   "set <user> <key> | set --from <file>",
		Short: "Sets a key, or as many as a file has",
		Long: `
Sets what a layer says about a key: all of it, so what isn't given is empty.

With --from the keys are those in a file, or in the standard input if that is
"-". A CSV file begins with a line that names its columns: user and key, and
any of light, color, label, number, action, locked, layer and ttl. A JSON file
has an array of objects with these as fields; "aor" may stand for "user".
In a CSV file semicolons or tabs may stand for commas. Spreadsheets may write
Latin-1, which --encoding latin1 reads.

What is wrong with a row is said, and all the others are set. A row for a user
whom nobody knows is set as well, and warned of.`,
		Example: `  caddysip sip keys set 101 2 --light on --color red --label "Front desk" --number 9
  caddysip sip keys set --from keys.csv`,
		Args:              cobra.MaximumNArgs(2),
		ValidArgsFunction: completeUser,
		RunE: func(cmd *cobra.Command, args []string) error {
			from, _ := cmd.Flags().GetString("from")
			switch {
			case from != "" && len(args) > 0:
				return errors.New("either a user and a key are given, or --from")
			case from != "":
				return setMany(cmd, from)
			case len(args) != 2:
				return errors.New("a user and a key must be given, or --from")
			}
			return setKey(cmd, args)
		},
	}))))
	flags := cmd.Flags()
	flags.String("light", "", "What the lamp does")
	flags.String("color", "", "The lamp's colour")
	flags.String("label", "", "What the key's label says")
	flags.String("number", "", "What the key dials")
	flags.String("action", "", "What happens when it is pressed: invite (the default) or message")
	flags.Bool("locked", false, "Users can't change it")
	flags.String(
		"ttl",
		"",
		"After what time it ends by itself, such as 30s or 2d; never unless given",
	)
	flags.String("from", "", "A CSV or JSON file with keys")
	flags.String("encoding", "utf-8", "What the file is written in: utf-8, latin1 or utf-16")
	complete(cmd, "encoding", encodings...)
	complete(cmd, "light", buttons.Lights()...)
	complete(cmd, "color", buttons.Colors()...)
	complete(cmd, "action", buttons.Actions()...)
	cmd.MarkFlagsMutuallyExclusive("from", "wait")
	for _, name := range []string{"light", "color", "label", "number", "action", "locked"} {
		cmd.MarkFlagsMutuallyExclusive("from", name)
	}
	return cmd
}

func setKey(cmd *cobra.Command, args []string) error {
	body := make(map[string]any)
	for name, values := range parameters(cmd, "light", "color", "label", "number", "action") {
		if !utf8.ValidString(values[0]) {
			return fmt.Errorf("--%s: it is not UTF-8", name)
		}
		body[name] = values[0]
	}
	if locked, _ := cmd.Flags().GetBool("locked"); locked {
		body["locked"] = true
	}
	answer, _, err := ask(
		cmd,
		http.MethodPut,
		keysURI(args, parameters(cmd, "layer", "ttl", "wait")),
		body,
	)
	if err != nil {
		return err
	}
	return printChanged(cmd, answer)
}

func keysClearCommand() *cobra.Command {
	return waitFlag(layerFlag(jsonFlag(adminFlags(&cobra.Command{
		Use:               "clear <user> [<key>]",
		Short:             "Has a layer say nothing any more about a user's key, or all of them",
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: completeUser,
		RunE: func(cmd *cobra.Command, args []string) error {
			query := parameters(cmd, "layer", "wait")
			method, body := http.MethodDelete, any(nil)
			if len(args) == 1 {
				method, body = http.MethodPut, []string{}
			}
			answer, _, err := ask(cmd, method, keysURI(args, query), body)
			if err == nil && len(answer) == 0 { // which is so without --wait
				answer, _, err = ask(cmd, http.MethodGet, keysURI(args[:1], nil), nil)
			}
			if err != nil {
				return err
			}
			return printChanged(cmd, answer)
		},
	}))))
}

func keysPushCommand() *cobra.Command {
	return waitFlag(jsonFlag(adminFlags(&cobra.Command{
		Use:               "push <user>",
		Short:             "Sends all keys to a user's phones again",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeUser,
		RunE: func(cmd *cobra.Command, args []string) error {
			uri := "/sip/keys/" + url.PathEscape(args[0]) + "/push"
			if query := parameters(cmd, "wait"); len(query) > 0 {
				uri += "?" + query.Encode()
			}
			answer, _, err := ask(cmd, http.MethodPost, uri, nil)
			if err != nil {
				return err
			}
			return printChanged(cmd, answer)
		},
	})))
}

// plural is "1 row" or "2 rows".
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}
