package follow

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func write(t *testing.T, path, content string, modified time.Time) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, modified, modified); err != nil {
		t.Fatal(err)
	}
}

func TestLook(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	var taken []string
	f := New(path, func(content []byte) error {
		if string(content) == "bad" {
			return errors.New("it is bad")
		}
		taken = append(taken, string(content))
		return nil
	})
	look := func(fails bool, want ...string) {
		t.Helper()
		if err := f.Look(); (err != nil) != fails || !slices.Equal(taken, want) {
			t.Fatalf("error %v, taken is %q, want %q", err, taken, want)
		}
	}
	old := time.Now().Add(-time.Hour)
	if err := f.Load(); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("got the error %v", err)
	}
	write(t, path, "", old)
	look(false, "") // an empty file is content too
	look(false, "")
	write(t, path, "one", old) // another length
	look(false, "", "one")
	write(t, path, "two", old)
	look(false, "", "one") // it shows nowhere
	write(t, path, "two", old.Add(time.Second))
	look(false, "", "one", "two")
	write(t, path, "two", old)
	look(false, "", "one", "two")
	write(t, path, "bad", old.Add(time.Minute))
	look(true, "", "one", "two")
	look(false, "", "one", "two") // it is told once
	write(t, path, "bad", old.Add(time.Hour))
	look(false, "", "one", "two")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	look(true, "", "one", "two")
	look(false, "", "one", "two")
	write(t, path, "three", old)
	look(false, "", "one", "two", "three")

	// Another file of the same length and time takes its place, as links do it.
	other := path + "2"
	write(t, other, "THREE", old)
	if err := os.Rename(other, path); err != nil {
		t.Fatal(err)
	}
	look(false, "", "one", "two", "three", "THREE")

	// What is written just after it was read, in the same tick of the clock, is seen.
	now := time.Now()
	write(t, path, "fresh", now)
	look(false, "", "one", "two", "three", "THREE", "fresh")
	write(t, path, "FRESH", now)
	look(false, "", "one", "two", "three", "THREE", "fresh", "FRESH")
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file")
		var content atomic.Value
		f := New(path, func(c []byte) error { content.Store(string(c)); return nil })
		write(t, path, "one", time.Now())
		if err := f.Load(); err != nil {
			t.Fatal(err)
		}
		var failed atomic.Int32
		stop := Watch([]*File{f}, func(string, error) { failed.Add(1) })
		write(t, path, "other", time.Now())
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if content.Load() != "other" || failed.Load() != 0 {
			t.Errorf("content %q, %d failures", content.Load(), failed.Load())
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if content.Load() != "other" || failed.Load() != 1 {
			t.Errorf("content %q, %d failures", content.Load(), failed.Load())
		}
		stop()
		stop()
		write(t, path, "late", time.Now())
		time.Sleep(time.Minute)
		if content.Load() != "other" {
			t.Errorf("content %q after the end", content.Load())
		}
	})
}
