package follow

import (
	"errors"
	"fmt"
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
	}, func(before, after int, taken bool) { t.Errorf("%d rows of %d are left", after, before) })
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
		f := New(path, func(c []byte) error { content.Store(string(c)); return nil }, nil)
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

// TestCut checks that content that looks cut is taken when it stays so, and not while it is being
// written.
func TestCut(t *testing.T) {
	const whole = "# staff\n1\n2\n3\n\n4\n5\n6"
	for _, tc := range []struct {
		name, content string
		doubted       bool
	}{
		{"empty", "", true},
		{"comment", "# staff\n", true},
		{"at a line", "# staff\n1\n2\n3\n\n4\n5\n", true},
		{"in a line", whole[:len(whole)-1], true},
		{"another beginning", "0\n1\n2\n3\n4", true},
		{"most", "6\n", true},
		{"the last", "# staff\n1\n2\n3\n\n4\n5\n# 6", true},
		{"one", "# staff\n1\n3\n\n4\n5\n6", false},
		{"half", "4\n5\n6\n", false},
		{"changed", "1\n2\n3\n4\n5\n7\n", false},
		{"more", whole + "7\n", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "file")
				var taken, lost []string
				f := New(path, func(c []byte) error { taken = append(taken, string(c)); return nil },
					func(before, after int, taken bool) { lost = append(lost, fmt.Sprint(before, after, taken)) })
				write(t, path, whole, time.Now())
				if err := f.Load(); err != nil {
					t.Fatal(err)
				}
				// For so many seconds it stays cut; then it is whole again.
				look := func(content string, seconds int) {
					write(t, path, content, time.Now())
					for range seconds {
						time.Sleep(time.Second)
						if err := f.Look(); err != nil {
							t.Fatal(err)
						}
					}
				}
				want := []string{whole}
				look(tc.content, 6)
				if !tc.doubted {
					want = append(want, tc.content)
				}
				if !slices.Equal(taken, want) {
					t.Fatalf("after 6 seconds %q is taken", taken)
				}
				look(whole, 3)
				if !tc.doubted {
					return
				}
				if !slices.Equal(taken, want) || len(lost) != 1 {
					t.Fatalf("%q is taken, %q is lost", taken, lost)
				}
				// While it is written it is not taken; then it is.
				for _, content := range []string{"0", "", "1\n2"} {
					look(content, 5)
				}
				look(tc.content, 5)
				if !slices.Equal(taken, want) {
					t.Fatalf("%q is taken while it is written", taken)
				}
				look(tc.content, 3)
				if want = append(want, tc.content); !slices.Equal(taken, want) || len(lost) != 3 {
					t.Errorf("%q is taken, %q is lost", taken, lost)
				}
				// What is loaded anew is taken as it is.
				look(whole, 2)
				write(t, path, tc.content, time.Now())
				if err := f.Load(); err != nil || taken[len(taken)-1] != tc.content {
					t.Errorf("%q is taken, %v", taken, err)
				}
			})
		})
	}
}

// TestReplaced checks that a file that replaces another is taken at once, unless it is the
// beginning of the old one, or nearly empty.
func TestReplaced(t *testing.T) {
	for content, doubted := range map[string]bool{"1\n": true, "1\n2\n": true, "": true, "6\n": true, "3\n4\n": false} {
		path := filepath.Join(t.TempDir(), "file")
		n := 0
		f := New(path, func([]byte) error { n++; return nil }, func(int, int, bool) {})
		write(t, path, "1\n2\n3\n", time.Now())
		if err := f.Load(); err != nil {
			t.Fatal(err)
		}
		write(t, path+".new", content, time.Now())
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		if err := f.Look(); err != nil {
			t.Fatal(err)
		}
		if (n == 1) != doubted {
			t.Errorf("%q is taken: %v", content, n == 2)
		}
	}
}
