package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/caddysip/caddysip/storage"
)

func readBackup(t *testing.T, b *Bolt) []byte {
	t.Helper()
	file, err := b.Backup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Error(err)
	}
	return data
}

// TestBackup copies the file while somebody writes pairs of keys to it: the copy has both of a
// pair, or none.
func TestBackup(t *testing.T) {
	dir := t.TempDir()
	b, err := OpenBolt(filepath.Join(dir, "sip.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	pair := func(i int) {
		value := fmt.Appendf(nil, "%d %1000d", i, i)
		if _, err := b.Write(t.Context(), storage.Batch{Changes: []storage.Change{
			{Bucket: "keys", Key: fmt.Sprint("a", i%50), Value: value}, {Bucket: "keys", Key: fmt.Sprint("b", i%50), Value: value},
		}}); err != nil {
			t.Error(err)
		}
	}
	for i := range 50 {
		pair(i)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	started := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := 50; ctx.Err() == nil; i++ {
			pair(i)
			if i == 60 {
				close(started)
			}
		}
	})
	<-started
	for n := range 3 {
		data := readBackup(t, b)
		path := filepath.Join(t.TempDir(), "copy.db")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := OpenBolt(path)
		if err != nil {
			t.Fatalf("copy %d can't be opened: %v", n, err)
		}
		for i := range 50 {
			one, err := c.Get(t.Context(), "keys", fmt.Sprint("a", i))
			if err != nil {
				t.Fatal(err)
			}
			other, err := c.Get(t.Context(), "keys", fmt.Sprint("b", i))
			if err != nil || string(one.Value) != string(other.Value) {
				t.Fatalf("in the copy a%d has %.10s, b%d %.10s: %v", i, one.Value, i, other.Value, err)
			}
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	stop()
	writer.Wait()
	if file, err := b.Backup(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits any more, and there is %v, %v", file, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("beside the file are %v, %v", entries, err)
	}
}
