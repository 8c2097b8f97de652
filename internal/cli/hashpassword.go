package cli

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/caddysip/caddysip/internal/sip/digest"
)

func hashPasswordCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hash-password --user <name> --realm <realm>",
		Short: "Hashes a password, for the users_file of digest_auth",
		Long: `
Hashes a user's password and prints the lines for the users_file of the
handler digest_auth, one for each algorithm:

	user:realm:algorithm:HA1

The password is asked for when the standard input is a terminal, else its
first line is the password. It is better not given with --plaintext, which
others on this machine can see.

The realm must be the one that the handler has: another one needs another
hash. Whoever has the hash can use it in place of the password.`,
		Args: cobra.NoArgs,
		RunE: hashPassword,
	}
	flags := cmd.Flags()
	flags.StringP("user", "u", "", "The user's name")
	flags.StringP(
		"realm",
		"r",
		"",
		"The realm of digest_auth, by default the first domain of the configuration",
	)
	flags.StringSliceP(
		"algorithm",
		"a",
		[]string{"SHA-256", "MD5"},
		"SHA-256, SHA-512-256 or MD5; can be repeated",
	)
	flags.StringP("plaintext", "p", "", "The password")
	return cmd
}

func hashPassword(cmd *cobra.Command, _ []string) error {
	flags := cmd.Flags()
	user, _ := flags.GetString("user")
	realm, _ := flags.GetString("realm")
	names, _ := flags.GetStringSlice("algorithm")
	password, _ := flags.GetString("plaintext")
	if user == "" || realm == "" {
		return errors.New("--user and --realm must be given: they are part of what is hashed")
	}
	if err := cmp.Or(digest.CheckUser(user), digest.CheckRealm(realm)); err != nil {
		return err
	}
	var algorithms []digest.Algorithm
	for _, name := range names {
		a := digest.ParseAlgorithm(name)
		if a == digest.Other {
			return fmt.Errorf(
				"%q is not an algorithm: there are SHA-256, SHA-512-256 and MD5",
				name,
			)
		}
		algorithms = append(algorithms, a)
	}
	if password == "" {
		var err error
		if password, err = readPassword(cmd); err != nil {
			return fmt.Errorf("reading the password: %w", err)
		}
	}
	if password == "" {
		return errors.New("the password is empty")
	}
	if digest.Weak(user, password) {
		fmt.Fprintln(
			cmd.ErrOrStderr(),
			"This password is easily guessed: it is the user's name, or very short.",
		)
	}
	for _, a := range algorithms {
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s:%s:%s:%s\n", user, realm, a, digest.HA1(a, user, realm, password)); err != nil {
			return err
		}
	}
	return nil
}

// readPassword prompts for the password without echo if the standard input is a terminal.
func readPassword(cmd *cobra.Command) (string, error) {
	in := cmd.InOrStdin()
	file, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		line, err := bufio.NewReader(in).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), nil
	}
	fd := int(file.Fd())
	restore, err := restoreOnInterrupt(fd)
	if err != nil {
		return "", err
	}
	defer restore()
	ask := func(prompt string) (string, error) {
		fmt.Fprint(cmd.ErrOrStderr(), prompt)
		defer fmt.Fprintln(cmd.ErrOrStderr())
		b, err := term.ReadPassword(fd)
		return string(b), err
	}
	password, err := ask("Password: ")
	if err != nil {
		return "", err
	}
	again, err := ask("Once more: ")
	if err == nil && again != password {
		err = errors.New("that was not the same")
	}
	return password, err
}

// restoreOnInterrupt restores the terminal's echo if the command is interrupted before the returned
// function is called.
func restoreOnInterrupt(fd int) (func(), error) {
	state, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	interrupted, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(interrupted, os.Interrupt)
	go func() {
		select {
		case <-interrupted:
			_ = term.Restore(fd, state)
			os.Exit(caddy.ExitCodeFailedStartup)
		case <-done:
		}
	}()
	return func() {
		signal.Stop(interrupted)
		close(done)
	}, nil
}
