package admin

import (
	"context"
	"io"
	"net/http"
	"time"
)

// GET /sip/backup
func getBackup(a *api, w http.ResponseWriter, r *http.Request) error {
	if _, err := readQuery(r); err != nil {
		return err
	}
	s, ok := a.storage.(interface {
		Backup(ctx context.Context) (io.ReadCloser, error)
	})
	if !ok {
		return errorf(http.StatusNotImplemented,
			"the storage has no file that could be copied: back up what it keeps where it keeps it")
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if r.Method == http.MethodHead {
		return nil
	}
	file, err := s.Backup(r.Context())
	if err != nil {
		return err
	}
	defer file.Close()
	name := "caddysip-" + time.Now().UTC().Format("20060102T150405Z") + ".db"
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	if _, err = io.Copy(w, file); err != nil {
		panic(http.ErrAbortHandler) // so that the client does not take a part for all of it
	}
	return nil
}
