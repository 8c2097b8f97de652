package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
)

func backupCommand() *cobra.Command {
	return adminFlags(&cobra.Command{
		Use:   "backup <file>",
		Short: "Copies what the server stores into a file",
		Long: `
Copies the file of the server's storage, as it is at one moment, while the
server goes on. To go back to it, stop the server, put the copy in the place of
the file, and start the server.

A file that is there already is not overwritten. "-" is the standard output.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := args[0]
			if _, err := os.Lstat(name); err == nil && name != "-" {
				return fmt.Errorf("%s is there already: give another name", name)
			}
			res, err := connect(cmd, http.MethodGet, "/sip/backup", nil, nil)
			if err != nil {
				return err
			}
			defer res.Body.Close()
			if name == "-" {
				_, err := io.Copy(cmd.OutOrStdout(), res.Body)
				return err
			}
			n, err := save(name, res.Body)
			if err != nil {
				return fmt.Errorf("writing the copy: %w", err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s has %s\n", name, humanize.IBytes(uint64(n)))
			return err
		},
	})
}

// save writes to a temporary file and renames it when it is complete.
func save(name string, r io.Reader) (n int64, err error) {
	file, err := os.CreateTemp(filepath.Dir(name), ".backup-*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(file.Name())
	n, err = io.Copy(file, r)
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return 0, err
	}
	if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("%s is there already", name)
	}
	return n, os.Rename(file.Name(), name)
}
